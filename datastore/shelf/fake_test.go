package shelf

import (
	"crypto/md5" //nolint:gosec // S3 speaks it
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// storage is as much of S3 as backups need.
type storage struct {
	t *testing.T

	mu      sync.Mutex // guards what follows
	bucket  string
	objects map[string][]byte
	parts   map[string][][]byte
	refuse  string        // the code of an error that answers everything
	slow    time.Duration // before each answer
	lose    bool          // keeps one byte less than it was given
}

func newStorage(t *testing.T) (*storage, Storage) {
	s := &storage{t: t, bucket: "homelab", objects: map[string][]byte{}, parts: map[string][][]byte{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, Storage{Endpoint: strings.TrimPrefix(server.URL, "http://"), Region: "us-east-1", Lookup: "path", Insecure: true,
		AccessKey: "AKIAEXAMPLE", SecretKey: "very-secret-key", Timeout: 20 * time.Second}
}

func (s *storage) set(change func(*storage)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// failure is how S3 says no.
type failure struct {
	XMLName       xml.Name `xml:"Error"`
	Code, Message string
}

func (s *storage) deny(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(failure{Code: code, Message: "this is what " + code + " means"})
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-r.Context().Done():
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case s.refuse != "":
		s.deny(w, http.StatusForbidden, s.refuse)
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/"):
		s.deny(w, http.StatusForbidden, "AccessDenied")
	case bucket != s.bucket:
		s.deny(w, http.StatusNotFound, "NoSuchBucket")
	case key == "":
		s.list(w, r)
	default:
		s.object(w, r, key)
	}
}

type listing struct {
	XMLName     xml.Name `xml:"ListBucketResult"`
	Name        string
	IsTruncated bool
	Contents    []found
}

type found struct {
	Key          string
	Size         int
	LastModified string
}

func (s *storage) list(w http.ResponseWriter, r *http.Request) {
	answer := listing{Name: s.bucket}
	for key, data := range s.objects {
		if rest, ok := strings.CutPrefix(key, r.URL.Query().Get("prefix")); ok && !strings.Contains(rest, "/") {
			answer.Contents = append(answer.Contents, found{key, len(data), "2026-01-01T00:00:00.000Z"})
		}
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer)
}

func (s *storage) object(w http.ResponseWriter, r *http.Request, key string) {
	data, there := s.objects[key]
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		s.parts[key] = nil
		_, _ = fmt.Fprintf(w, `<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>1</UploadId></InitiateMultipartUploadResult>`, s.bucket, key)
	case r.Method == http.MethodPost:
		s.keep(key, slices.Concat(s.parts[key]...))
		_, _ = fmt.Fprintf(w, `<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>"x"</ETag></CompleteMultipartUploadResult>`, s.bucket, key)
	case r.Method == http.MethodPut:
		s.put(w, r, key)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		s.deny(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"x"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
	}
}

func (s *storage) put(w http.ResponseWriter, r *http.Request, key string) {
	data, err := body(r)
	if err != nil {
		s.t.Error(err)
	}
	sum := md5.Sum(data) //nolint:gosec // as above
	if given := r.Header.Get("Content-Md5"); given != base64.StdEncoding.EncodeToString(sum[:]) {
		s.deny(w, http.StatusBadRequest, "BadDigest")
		return
	}
	if r.URL.Query().Has("partNumber") {
		s.parts[key] = append(s.parts[key], data)
	} else {
		s.keep(key, data)
	}
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
}

func (s *storage) keep(key string, data []byte) {
	if s.lose {
		data = data[:len(data)-1]
	}
	s.objects[key] = data
}

// body reads what was sent, in signed chunks or as it is.
func body(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return data, err
	}
	var all []byte
	for text := string(data); text != ""; {
		head, rest, _ := strings.Cut(text, "\r\n")
		var size int
		if _, err := fmt.Sscanf(head, "%x;", &size); err != nil {
			return nil, err
		}
		all = append(all, rest[:size]...)
		text = strings.TrimPrefix(rest[size:], "\r\n")
	}
	return all, nil
}
