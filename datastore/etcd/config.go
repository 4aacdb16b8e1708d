package etcd

import (
	"log/slog"
	"math/bits"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"google.golang.org/grpc"

	"github.com/skerry-io/skerry/datastore"
)

// Ports of every member.
const (
	ClientPort = 2379
	PeerPort   = 2380
)

// Certificates are files. The certificate has to be good for servers and clients both, and to name the member's address.
// Certificate and key are read for each connection, the authority once at the start.
type Certificates struct {
	CAFile, CertFile, KeyFile string
}

// Config says where a member lies, who it is, and whom it joins.
type Config struct {
	// Dir holds all of its files.
	Dir string
	// Name tells it from the other members. Only one server of a cluster may have it: the node's name.
	Name string
	// Address is where other servers reach it, and where it listens: peers on 2380, clients on 2379.
	Address netip.Addr
	// Socket is the path of the unix socket for this machine, readable by root alone; empty: etcd.sock in Dir.
	Socket string
	// Peer is for the traffic between members, Client for that of clients; with authorities of their own.
	Peer, Client Certificates
	// Members are URLs for clients of a cluster to join. Without any, a new directory begins a cluster of its own: so whoever
	// knows that there is one has to say so. A directory that has a member in it knows its cluster, and uses them to ask
	// what has become of itself.
	Members []string
	// SnapshotInterval is between two snapshots of a member that is alone, SnapshotCount how many are kept; with 0 there are none.
	SnapshotInterval time.Duration
	SnapshotCount    int
	// Healed, if set, is told when a damaged member was made anew.
	Healed func(Healed)
	// AsItIs refuses a damaged member, instead of making it anew: for who only reads, and could not tell what is lost.
	AsItIs bool
	// Tuning is for tests; zero values mean the usual.
	Tuning Tuning
	Log    *slog.Logger

	expect func() error // is told before another member is taken
}

// Tuning are numbers that tests want smaller.
type Tuning struct {
	Heartbeat time.Duration // between two messages of a leader to a member that has nothing else to hear
	Election  time.Duration // without a word of the leader, until another is elected; up to twice as long by chance
	Upkeep    time.Duration // between two looks at how much space is free
	Free      int64         // free bytes that make a defragmentation worth it
	Quota     int64         // bytes that the database may take
	Peer      uint16        // the port for peers
	Client    uint16        // the port for clients
	adjust    func(*embed.Config)
}

const (
	// heartbeat and election: a card that stalls for a second costs no leader, and a lost leader is replaced within three. What was on its
	// way to it is lost, and etcd tells who asked only after five seconds and twice the election: that has to be less than ten.
	heartbeat = 150 * time.Millisecond
	election  = 1500 * time.Millisecond
	// batchInterval is how long changes gather before they go from the log, where they are safe, into the database. A commit
	// there writes five pages or more; etcd's 100 ms would write them for each lone heartbeat of a node.
	batchInterval = 5 * time.Second
	// batchLimit is how many changes a batch has at most: until it is written it lies in memory, and reads copy its index.
	batchLimit = 250
	// segment is the size of a log file, which is there before it is written, and the next one too; etcd's 64 MB are a lot of a card.
	segment = 16 << 20
	// logFiles and snapFiles are how many are kept that nobody needs any more.
	logFiles, snapFiles = 2, 2
	// snapshotCount is how many changes happen between two points up to which the log is given up, and catchUp how many before it stay in
	// memory, so that a member that was away so long is not sent the whole database.
	snapshotCount, catchUp = 5000, 5000
	// learners is how many may join at the same time.
	learners = 4
)

func (c Config) tuned() Config {
	t := &c.Tuning
	t.Heartbeat, t.Election, t.Upkeep = or(t.Heartbeat, heartbeat), or(t.Election, election), or(t.Upkeep, 10*time.Minute)
	t.Free, t.Quota, t.Peer, t.Client = or(t.Free, 32<<20), or(t.Quota, quota()), or(t.Peer, PeerPort), or(t.Client, ClientPort)
	c.Socket = or(c.Socket, filepath.Join(c.Dir, "etcd.sock"))
	return c
}

func or[T comparable](wanted, usual T) T {
	var none T
	if wanted == none {
		return usual
	}
	return wanted
}

// quota is how much the database may take. It is mapped as a whole, for which 32 bits have little room.
func quota() int64 {
	if bits.UintSize == 32 {
		return 512 << 20
	}
	return 2 << 30
}

// PeerURL is where the other members reach it.
func (c Config) PeerURL() string { return c.url(c.tuned().Tuning.Peer) }

// ClientURL is where clients on other machines reach it.
func (c Config) ClientURL() string { return c.url(c.tuned().Tuning.Client) }

func (c Config) url(port uint16) string {
	return "https://" + net.JoinHostPort(c.Address.String(), strconv.Itoa(int(port)))
}

// others is how the other members are reached as a client.
func (c Config) others(urls []string) datastore.Endpoint {
	return datastore.Endpoint{URLs: urls, CAFile: c.Client.CAFile, CertFile: c.Client.CertFile, KeyFile: c.Client.KeyFile}
}

func (c Config) local() datastore.Endpoint {
	return datastore.Endpoint{URLs: []string{"unix://" + c.Socket}}
}

func (f Certificates) info() transport.TLSInfo {
	return transport.TLSInfo{TrustedCAFile: f.CAFile, CertFile: f.CertFile, KeyFile: f.KeyFile, ClientCertAuth: true}
}

// settings are etcd's own, for a member that listens.
func (c Config) settings() *embed.Config {
	e := c.quiet()
	peer, client := parsed(c.PeerURL()), parsed(c.ClientURL())
	e.ListenPeerUrls, e.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	e.ListenClientUrls, e.AdvertiseClientUrls = []url.URL{client, {Scheme: "unix", Path: c.Socket}}, []url.URL{client}
	e.PeerTLSInfo, e.ClientTLSInfo = c.Peer.info(), c.Client.info()
	// The authority for peers signs members and nobody else; which address a member calls from says nothing.
	e.PeerTLSInfo.SkipClientSANVerify = true
	if c.Tuning.adjust != nil {
		c.Tuning.adjust(e)
	}
	return e
}

// quiet are etcd's settings but for where it listens.
func (c Config) quiet() *embed.Config {
	gentle()
	e := embed.NewConfig()
	e.Dir, e.Name = c.Dir, c.Name
	e.TickMs, e.ElectionMs = uint(c.Tuning.Heartbeat.Milliseconds()), uint(c.Tuning.Election.Milliseconds())
	e.BackendBatchInterval, e.BackendBatchLimit = batchInterval, batchLimit
	e.SnapshotCount, e.SnapshotCatchUpEntries = snapshotCount, catchUp
	e.MaxSnapFiles, e.MaxWalFiles = snapFiles, logFiles
	e.QuotaBackendBytes, e.MaxLearners = c.Tuning.Quota, learners
	e.AutoCompactionRetention = "0" // the API server asks for what it wants
	e.EnableGRPCGateway = false
	e.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.StreamInterceptor(linger)} // the outermost
	if c.expect != nil {
		e.GRPCAdditionalServerOptions = append(e.GRPCAdditionalServerOptions, grpc.UnaryInterceptor(c.expecting))
	}
	e.WarningApplyDuration, e.WarningUnaryRequestDuration = time.Second, time.Second
	return e
}

// gentle sets the one number that etcd keeps for the whole process.
func gentle() {
	if wal.SegmentSizeBytes != segment {
		wal.SegmentSizeBytes = segment
	}
}

// parsed is for URLs made here.
func parsed(text string) url.URL {
	u, err := url.Parse(text)
	if err != nil {
		return url.URL{}
	}
	return *u
}
