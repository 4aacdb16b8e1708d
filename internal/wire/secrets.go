package wire

// How far a rotation of the key of Secrets is, and what stands for a key where there is none.
const (
	SecretsSteady  = "steady"  // there is no rotation
	SecretsReading = "reading" // the new key can be read with, the one before is written with
	SecretsWriting = "writing" // the new key is written with, and those before can be read with
	SecretsPlain   = "plain"
)

// SecretsStatus says how Secrets are stored.
type SecretsStatus struct {
	Enabled  bool   `json:"enabled"`            // what is written from now on is encrypted
	Provider string `json:"provider,omitempty"` // how; empty where kube-apiserver has a file of the user's own
	// Keys are the names of those that Secrets can be read with; with Enabled the first is written with.
	Keys  []string `json:"keys,omitempty"`
	Stage string   `json:"stage,omitempty"` // of a rotation: steady, reading, writing
	Work  string   `json:"work,omitempty"`  // what is being done about Secrets now
	// Stored is how many Secrets are under which key, or plain.
	Stored  map[string]int  `json:"stored,omitempty"`
	Trouble string          `json:"trouble,omitempty"` // why they are not all as they should be
	Hash    string          `json:"hash,omitempty"`    // of the file with the keys
	Servers []SecretsServer `json:"servers,omitempty"` // the others of the cluster
}

// SecretsServer says whether another server has the same keys.
type SecretsServer struct {
	URL     string `json:"url"`
	Same    bool   `json:"same"`
	Trouble string `json:"trouble,omitempty"`
}

// SecretsProgress is one line of the answer to a rotation. The last one is Done, or says what is in the way.
type SecretsProgress struct {
	Stage     string `json:"stage,omitempty"`
	Key       string `json:"key,omitempty"`       // the new one
	Rewritten int    `json:"rewritten,omitempty"` // Secrets, in this stage so far
	Done      bool   `json:"done,omitempty"`
	Trouble   string `json:"trouble,omitempty"`
	Cure      string `json:"cure,omitempty"`
}

// SecretsLoaded says which file with keys, by its hash, a server writes and reads with.
type SecretsLoaded struct {
	Hash string `json:"hash"`
	Name string `json:"name"` // of the server
}
