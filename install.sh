#!/bin/sh
# Install Skerry on this host:  curl -sfL http://SERVER/install.sh | INSTALL_SKERRY_ARTIFACT_URL=http://SERVER sh -
# It fetches the program for this machine, checks it, puts it in its place, and calls `skerry install`, which makes the
# service. Arguments are handed on to that. These variables steer it; those for the service are in `skerry install --help`:
#   INSTALL_SKERRY_ARTIFACT_URL   where skerry-ARCH and sha256sum.txt are (default: the releases of the project)
#   INSTALL_SKERRY_VERSION        which release (default: the latest); without meaning together with the URL
#   INSTALL_SKERRY_SKIP_DOWNLOAD  true: take skerry-ARCH or skerry beside this script, in the current directory, or installed before
#   INSTALL_SKERRY_BIN_DIR        where the program goes (default: /usr/local/bin)
#   INSTALL_SKERRY_EXEC, _NAME, _SKIP_START, _SKIP_ENABLE, _SYMLINK, _FORCE_RESTART
# To join a server instead of being one, set its address and a token of it (`skerry token create`):
#   SKERRY_URL=https://HOST:6443 SKERRY_TOKEN=...
set -eu

say() { printf 'install: %s\n' "$*"; }

die() {
	printf 'install: %s\n' "$*" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# as_root runs a command that changes the host, with the variables that `skerry install` reads.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
		return
	fi
	sudo -E "$@"
}

architecture() {
	case $(uname -m) in
	x86_64 | amd64) echo amd64 ;;
	aarch64 | arm64) echo arm64 ;;
	armv7* | armv8l) echo arm ;;
	*) die "there is no Skerry for this machine ($(uname -m)); there is one for amd64, arm64 and armv7" ;;
	esac
}

# fetch URL FILE gets a whole file or fails.
fetch() {
	if have curl; then
		curl -sfL --retry 3 -o "$2" "$1" || die "cannot get $1 (curl code $?)"
	elif have wget; then
		wget -q -O "$2" "$1" || die "cannot get $1 (wget code $?)"
	else
		die "neither curl nor wget is here; install one, or bring the program and set INSTALL_SKERRY_SKIP_DOWNLOAD=true"
	fi
}

# address is where the files are.
address() {
	if [ -n "${INSTALL_SKERRY_ARTIFACT_URL:-}" ]; then
		echo "${INSTALL_SKERRY_ARTIFACT_URL%/}"
	elif [ -n "${INSTALL_SKERRY_VERSION:-}" ]; then
		echo "$releases/download/$INSTALL_SKERRY_VERSION"
	else
		echo "$releases/latest/download"
	fi
}

# verify FILE SUMS NAME compares the file with the line of SUMS that is about NAME.
verify() {
	want=$(awk -v name="$3" '{ sub(/^\*/, "", $2) } $2 == name { print $1; exit }' "$2")
	[ -n "$want" ] || die "$2 has no checksum of $3"
	have sha256sum || die "sha256sum is not here, so $3 cannot be checked; install coreutils or busybox"
	got=$(sha256sum <"$1")
	got=${got%% *}
	[ "$got" = "$want" ] || die "the checksum of $3 is $got, it should be $want; the download is damaged or not what was released; nothing was changed"
	say "checksum of $3 is right"
}

download() {
	from=$(address)
	say "getting $artifact from $from"
	fetch "$from/sha256sum.txt" "$work/sha256sum.txt"
	fetch "$from/$artifact" "$work/skerry"
	verify "$work/skerry" "$work/sha256sum.txt" "$artifact"
	place "$work/skerry"
}

# find_local takes the program from beside this script or from the current directory, or else what is installed.
find_local() {
	for dir in "$here" .; do
		for name in "$artifact" skerry; do
			[ -f "$dir/$name" ] || continue
			if [ -f "$dir/sha256sum.txt" ]; then
				verify "$dir/$name" "$dir/sha256sum.txt" "$artifact"
			else
				say "no sha256sum.txt beside $dir/$name, so it is not checked"
			fi
			place "$dir/$name"
			return
		done
	done
	[ -x "$bin_dir/skerry" ] || die "there is no $artifact or skerry beside this script, in the current directory, or in $bin_dir"
	say "taking $bin_dir/skerry as it is"
}

# place puts the program into its directory, whole or not at all; the same one again is left alone.
place() {
	if [ -x "$bin_dir/skerry" ] && cmp -s "$1" "$bin_dir/skerry"; then
		say "$bin_dir/skerry is this one already"
		return
	fi
	as_root mkdir -p "$bin_dir"
	new=$bin_dir/.skerry.new.$$
	if ! { as_root cp "$1" "$new" && as_root chmod 0755 "$new" && as_root chown 0:0 "$new" && as_root mv -f "$new" "$bin_dir/skerry"; }; then
		die "cannot put the program into $bin_dir: is there space, and may it be written?"
	fi
	new=
	say "put the program into $bin_dir/skerry"
}

# cleanup removes what is half done.
cleanup() {
	[ -z "$work" ] || rm -rf "$work"
	[ -z "$new" ] || as_root rm -f "$new"
}

# Everything runs from here, in the last line, so that half a script does nothing.
main() {
	releases=https://github.com/skerry-io/skerry/releases
	bin_dir=${INSTALL_SKERRY_BIN_DIR:-/usr/local/bin}
	here=$(cd "$(dirname "$0")" 2>/dev/null && pwd) || here=.
	[ "$(uname -s)" = Linux ] || die "Skerry runs on Linux, this is $(uname -s)"
	[ "$(id -u)" = 0 ] || have sudo || die "run this as root; there is no sudo"
	artifact=skerry-$(architecture)
	work='' new=''
	trap cleanup EXIT
	trap 'exit 130' HUP INT TERM
	if [ "${INSTALL_SKERRY_SKIP_DOWNLOAD:-}" = true ]; then
		find_local
	else
		work=$(mktemp -d)
		download
	fi
	cleanup
	trap - EXIT HUP INT TERM
	if [ "$(id -u)" = 0 ]; then
		exec "$bin_dir/skerry" install --bin-dir "$bin_dir" "$@" </dev/null
	fi
	exec sudo -E "$bin_dir/skerry" install --bin-dir "$bin_dir" "$@" </dev/null
}

main "$@"
