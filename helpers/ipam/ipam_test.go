package ipam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
)

const result = `{"cniVersion": "1.0.0", "ips": [{"address": "10.42.0.5/24", "gateway": "10.42.0.1"}, {"address": "fd00:42::5/64"}]}`

// stage is the plugin with a host-local and a node that are fakes.
type stage struct {
	plugin
	out     bytes.Buffer
	deleted int
	socket  string
	heard   chan Question
}

func newStage(t *testing.T) *stage {
	s := &stage{socket: filepath.Join(t.TempDir(), "s"), heard: make(chan Question, 9)}
	s.plugin = plugin{out: &s.out, add: func(*skel.CmdArgs) error { fmt.Fprint(os.Stdout, result); return nil },
		del: func(*skel.CmdArgs) error { s.deleted++; return nil }}
	return s
}

// node answers questions with a text.
func (s *stage) node(t *testing.T, text string) {
	t.Helper()
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var q Question
			if json.NewDecoder(conn).Decode(&q) == nil {
				s.heard <- q
				fmt.Fprintln(conn, text)
			}
			conn.Close()
		}
	}()
}

func (s *stage) args() *skel.CmdArgs {
	return &skel.CmdArgs{ContainerID: "c1", Args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=one;K8S_POD_NAME=a;K8S_POD_UID=u1;K8S_POD_INFRA_CONTAINER_ID=c1",
		StdinData: []byte(`{"cniVersion": "1.0.0", "name": "skerry", "ipam": {"type": "skerry-ipam", "socket": "` + s.socket + `"}}`)}
}

func TestThePodHasItsAddressWhenTheNodeAgrees(t *testing.T) {
	s := newStage(t)
	go func() { // the node comes a little later
		time.Sleep(100 * time.Millisecond)
		s.node(t, `{}`)
	}()
	if err := s.Add(s.args()); err != nil {
		t.Fatal(err)
	}
	want := Question{Container: "c1", Namespace: "one", Name: "a", UID: "u1", Addresses: []string{"10.42.0.5", "fd00:42::5"}}
	if got := <-s.heard; !reflect.DeepEqual(got, want) {
		t.Errorf("the node heard %+v", got)
	}
	if s.out.String() != result || s.deleted != 0 {
		t.Errorf("printed is %s, %d deleted", &s.out, s.deleted)
	}
	if err := s.Del(s.args()); err != nil || s.deleted != 1 {
		t.Errorf("%v, %d deleted", err, s.deleted)
	}
	if got := <-s.heard; !got.Gone || got.Container != "c1" {
		t.Errorf("the node heard %+v", got)
	}
}

func TestAnAddressThatIsRefusedIsGivenBack(t *testing.T) {
	for answer, want := range map[string]string{`{"error": "not in force yet"}`: "not in force yet", `rubbish`: "hear from the node"} {
		s := newStage(t)
		s.node(t, answer)
		if err := s.Add(s.args()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
		if s.out.Len() > 0 || s.deleted != 1 {
			t.Errorf("printed is %s, %d deleted", &s.out, s.deleted)
		}
	}
}

func TestWhatHostLocalSaysIsPassedOn(t *testing.T) {
	s := newStage(t)
	full := errors.New("no addresses left")
	s.plugin.add = func(*skel.CmdArgs) error { return full }
	before := os.Stdout
	if err := s.Add(s.args()); !errors.Is(err, full) || s.out.Len() > 0 {
		t.Errorf("got %v", err)
	}
	if os.Stdout != before {
		t.Error("the output goes elsewhere")
	}
}

func TestGivingBackDoesNotWaitForTheNode(t *testing.T) {
	s := newStage(t)
	began := time.Now()
	if err := s.Del(s.args()); err != nil || s.deleted != 1 || time.Since(began) > partIn/2 {
		t.Errorf("%v, %d deleted, after %v", err, s.deleted, time.Since(began))
	}
}
