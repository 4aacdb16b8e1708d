# A container that is a node: docker run --privileged --name node -p 6443:6443 -v skerry:/var/lib/skerry IMAGE server
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build scripts/image /image

FROM scratch
COPY --from=build /image/ /
ENV PATH=/bin
VOLUME ["/var/lib/skerry", "/var/lib/kubelet", "/var/log"]
ENTRYPOINT ["/bin/skerry"]
CMD ["server"]
