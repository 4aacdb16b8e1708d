package shelf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// attempts is how often a request is made before it has failed.
	attempts = 4
	// partSize is how much of a large backup is sent, and kept in memory, at a time, in bytes.
	partSize = 16 << 20
)

// Storage is how S3-compatible storage is reached.
type Storage struct {
	Endpoint   string // host or host:port
	Region     string
	Lookup     string // where the bucket's name stands: dns, path or auto
	CAFile     string // of an endpoint that no public authority has signed; empty: those of the host
	SkipVerify bool   // takes any certificate
	Insecure   bool   // speaks HTTP without TLS
	AccessKey  string
	SecretKey  string
	Session    string        // token of a session; may be empty
	Timeout    time.Duration // of one operation, such as an upload
}

// bucket is a shelf in S3-compatible storage.
type bucket struct {
	name, folder string
	client       *minio.Client
	timeout      time.Duration
	endpoint     string
	spool        string
}

func newBucket(name, folder string, s Storage, spool string) (*bucket, error) {
	if name == "" {
		return nil, fault.New("%s names no bucket", Scheme).Fix("write %sBUCKET/FOLDER", Scheme)
	}
	if s.AccessKey == "" || s.SecretKey == "" {
		return nil, fault.New("there are no credentials for %s%s", Scheme, name).
			Fix("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or backup-s3-access-key and backup-s3-secret-key in the config file")
	}
	transport, err := s.transport()
	if err != nil {
		return nil, err
	}
	lookup := map[string]minio.BucketLookupType{"dns": minio.BucketLookupDNS, "path": minio.BucketLookupPath}[s.Lookup]
	client, err := minio.New(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, s.Session), Secure: !s.Insecure,
		Transport: transport, Region: s.Region, BucketLookup: lookup, MaxRetries: attempts})
	if err != nil {
		return nil, fault.New("reach the storage at %q", s.Endpoint).Because(err).Fix("write backup-s3-endpoint as HOST or HOST:PORT, without a scheme")
	}
	return &bucket{name: name, folder: folder, client: client, timeout: s.Timeout, endpoint: s.Endpoint, spool: spool}, nil
}

func (s Storage) transport() (*http.Transport, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.SkipVerify}} //nolint:gosec // only where the user says so
	if s.CAFile == "" {
		return t, nil
	}
	text, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fault.New("read the authority of the storage").Because(err).Fix("give the path of a PEM file as backup-s3-endpoint-ca")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fault.New("%s holds no certificate", s.CAFile).Fix("give the path of a PEM file as backup-s3-endpoint-ca")
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// String is the place as it is written.
func (b *bucket) String() string { return Scheme + path.Join(b.name, b.folder) }

func (b *bucket) key(name string) string { return path.Join(b.folder, name) }

// limit bounds one operation.
func (b *bucket) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if b.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, b.timeout)
}

// List is Shelf's.
func (b *bucket) List(ctx context.Context) ([]Item, error) {
	ctx, stop := b.limit(ctx)
	defer stop()
	under := b.folder
	if under != "" {
		under += "/"
	}
	var all []Item
	for object := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: under}) {
		if object.Err != nil {
			return nil, b.explain("list the backups", object.Err)
		}
		if item, ours := parse(strings.TrimPrefix(object.Key, under), object.Size); ours {
			all = append(all, item)
		}
	}
	return newestFirst(all), ctx.Err()
}

// Put is Shelf's. The backup is made before anything is sent, and the storage checks what it gets by a checksum.
func (b *bucket) Put(ctx context.Context, name string, fill func(io.Writer) error) (size int64, err error) {
	spool := NewSpool(b.spool)
	defer func() { err = errors.Join(err, spool.Close()) }()
	if err := fill(&counter{Writer: spool, ctx: ctx}); err != nil {
		return 0, err
	}
	from, err := spool.Reader()
	if err != nil {
		return 0, err
	}
	ctx, stop := b.limit(ctx)
	defer stop()
	_, err = b.client.PutObject(ctx, b.name, b.key(name), from, spool.Size(), minio.PutObjectOptions{
		ContentType: "application/octet-stream", SendContentMd5: true, PartSize: partSize, NumThreads: 1})
	if err != nil {
		return 0, b.explain("store the backup", err)
	}
	info, err := b.client.StatObject(ctx, b.name, b.key(name), minio.StatObjectOptions{})
	if err == nil && info.Size != spool.Size() {
		err = fmt.Errorf("it has %d bytes there, and %d here", info.Size, spool.Size())
	}
	if err != nil {
		return 0, b.explain("look at the stored backup", err)
	}
	return spool.Size(), nil
}

// Open is Shelf's.
func (b *bucket) Open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	ctx, stop := b.limit(ctx)
	object, err := b.client.GetObject(ctx, b.name, b.key(name), minio.GetObjectOptions{})
	if err != nil {
		stop()
		return nil, 0, b.explain("fetch the backup", err)
	}
	info, err := object.Stat()
	if err != nil {
		stop()
		return nil, 0, errors.Join(b.explain("fetch the backup", err), object.Close())
	}
	return &fetched{object: object, stop: stop, of: b}, info.Size, nil
}

// fetched is an object that is being read.
type fetched struct {
	object *minio.Object
	stop   context.CancelFunc
	of     *bucket
}

// Read is io.Reader's.
func (f *fetched) Read(p []byte) (int, error) {
	n, err := f.object.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.of.explain("fetch the backup", err)
	}
	return n, err
}

// Close ends the transfer.
func (f *fetched) Close() error {
	defer f.stop()
	return f.object.Close()
}

// Remove is Shelf's.
func (b *bucket) Remove(ctx context.Context, name string) error {
	ctx, stop := b.limit(ctx)
	defer stop()
	if err := b.client.RemoveObject(ctx, b.name, b.key(name), minio.RemoveObjectOptions{}); err != nil {
		return b.explain("remove the backup "+name, err)
	}
	return nil
}

// explain says what to do about what the storage answered.
func (b *bucket) explain(what string, err error) error {
	f := fault.New("%s in %s at %s", what, b, b.endpoint).Because(err)
	var unreachable *url.Error
	switch code := minio.ToErrorResponse(err).Code; {
	case code == "NoSuchBucket":
		return f.Fix("make the bucket %s, or correct its name", b.name)
	case code == "NoSuchKey":
		return f.Fix("`skerry backup list --from %s` lists those that are there", b)
	case code == "AccessDenied" || code == "AllAccessDisabled":
		return f.Fix("let these credentials list, read, write and remove objects of the bucket")
	case code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch" || code == "ExpiredToken" || code == "InvalidToken":
		return f.Fix("correct the access key and its secret; the clock of this machine must be right, too")
	case code == "RequestTimeTooSkewed":
		return f.Fix("correct the clock of this machine, which says %s", time.Now().UTC().Format(time.RFC3339))
	case code == "AuthorizationHeaderMalformed" || code == "PermanentRedirect":
		return f.Fix("set backup-s3-region to the region of the bucket")
	case errors.Is(err, context.DeadlineExceeded):
		return f.Fix("raise backup-s3-timeout (%s) if the link is slow", b.timeout)
	case errors.As(err, &unreachable):
		return f.Fix("check backup-s3-endpoint, the network, and backup-s3-endpoint-ca where no public authority has signed the endpoint")
	}
	return f
}
