package ipam

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// Act is one of host-local's commands. Add prints its result.
type Act func(*skel.CmdArgs) error

// Main is the whole program, made around host-local's commands.
func Main(add, check, del Act) {
	p := plugin{add: add, check: check, del: del, out: os.Stdout}
	skel.PluginMainFuncs(skel.CNIFuncs{Add: p.Add, Check: check, Del: p.Del}, version.All, "skerry-ipam: host-local that asks the node")
}

type plugin struct {
	add, check, del Act
	out             io.Writer
}

// How long the node may take: it answers within half of that, unless it is not there yet.
const (
	answerIn = 20 * time.Second
	partIn   = time.Second
	retry    = 20 * time.Millisecond
)

// Add chooses addresses and returns when the node agrees to them.
func (p plugin) Add(args *skel.CmdArgs) error {
	text, err := printed(func() error { return p.add(args) })
	if err != nil {
		return err
	}
	if err := p.agree(args, text); err != nil {
		return errors.Join(err, p.del(args))
	}
	_, err = p.out.Write(text)
	return err
}

func (p plugin) agree(args *skel.CmdArgs, text []byte) error {
	said, socket, err := question(args)
	if err != nil {
		return err
	}
	result, err := current.NewResult(text)
	if err != nil {
		return fmt.Errorf("read host-local's result: %w", err)
	}
	given, err := current.GetResult(result)
	if err != nil {
		return fmt.Errorf("read host-local's result: %w", err)
	}
	for _, ip := range given.IPs {
		said.Addresses = append(said.Addresses, ip.Address.IP.String())
	}
	return ask(socket, said, answerIn)
}

// Del gives the addresses back, whether the node hears of it or not.
func (p plugin) Del(args *skel.CmdArgs) error {
	err := p.del(args)
	if said, socket, unreadable := question(args); unreadable == nil {
		said.Gone = true
		_ = ask(socket, said, partIn) // it finds out by itself
	}
	return err
}

// Question is what the node is told. It answers with an error's text, or an empty one.
type Question struct {
	Gone      bool     `json:"gone,omitempty"`
	Container string   `json:"container"`
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	UID       string   `json:"uid"`
	Addresses []string `json:"addresses"`
}

// named is how the runtime names the pod.
type named struct {
	types.CommonArgs
	K8S_POD_NAMESPACE, K8S_POD_NAME, K8S_POD_UID types.UnmarshallableString //nolint:revive // the names are those of the arguments
}

func question(args *skel.CmdArgs) (Question, string, error) {
	var config struct {
		IPAM struct {
			Socket string `json:"socket"`
		} `json:"ipam"`
	}
	if err := json.Unmarshal(args.StdinData, &config); err != nil {
		return Question{}, "", fmt.Errorf("read the network's configuration: %w", err)
	}
	pod := named{CommonArgs: types.CommonArgs{IgnoreUnknown: true}}
	if err := types.LoadArgs(args.Args, &pod); err != nil {
		return Question{}, "", fmt.Errorf("read the pod's name: %w", err)
	}
	return Question{Container: args.ContainerID, Namespace: string(pod.K8S_POD_NAMESPACE), Name: string(pod.K8S_POD_NAME), UID: string(pod.K8S_POD_UID)},
		config.IPAM.Socket, nil
}

// ask puts a question to the node and waits for its word. Who wants an address waits for a node that is just starting.
func ask(socket string, q Question, patience time.Duration) error {
	end := time.Now().Add(patience)
	conn, err := net.Dial("unix", socket)
	for err != nil && !q.Gone && time.Now().Before(end) {
		<-time.After(retry)
		conn, err = net.Dial("unix", socket)
	}
	if err != nil {
		return fmt.Errorf("ask the node whether pod %s/%s may have an address: %w", q.Namespace, q.Name, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return fmt.Errorf("tell the node of pod %s/%s: %w", q.Namespace, q.Name, err)
	}
	var answer struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return fmt.Errorf("hear from the node about pod %s/%s: %w", q.Namespace, q.Name, err)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}

// printed runs what prints, and gives what it printed. It is little: it fits into a pipe that nobody reads from yet.
func printed(act func() error) ([]byte, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	before := os.Stdout
	os.Stdout = write
	err = act()
	os.Stdout = before
	if err := errors.Join(err, write.Close()); err != nil {
		return nil, err
	}
	return io.ReadAll(read)
}
