package wire

// MaxPodRights bounds the text of PodRights, in bytes.
const MaxPodRights = 4 << 20

// PodRights are what a node needs in order to answer its own pods while no server is in reach. One is a line of JSON, always the same
// text for the same content; the SHA-256 of the text, in hexadecimal, stands for it where a node says which one it has.
type PodRights struct {
	Tokens   AccountTokens `json:"tokens"`
	Accounts []Account     `json:"accounts,omitempty"` // of the node's pods, by namespace and name, as far as the text holds them
}

// AccountTokens say which tokens of ServiceAccounts are good for the API. Without keys none is.
type AccountTokens struct {
	Keys      []TokenKey `json:"keys,omitempty"`
	Issuers   []string   `json:"issuers,omitempty"`
	Audiences []string   `json:"audiences,omitempty"` // one of them is the token's, if the token names any
}

// TokenKey is a key that signs tokens.
type TokenKey struct {
	ID     string `json:"id"`
	Public []byte `json:"public"` // PKIX, DER
}

// Account is a ServiceAccount and what its roles let it read.
type Account struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Tokens are the SHA-256, in hexadecimal, of those of its tokens that lie in Secrets. They have no end but that of the Secret.
	Tokens []string   `json:"tokens,omitempty"`
	Rules  []ReadRule `json:"rules,omitempty"`
}

// ReadRule is a rule of a role as far as it is about reading objects, with the words of RBAC.
type ReadRule struct {
	Namespace string   `json:"namespace,omitempty"` // where it holds; empty for everywhere
	Verbs     []string `json:"verbs"`               // of get, list and watch
	Groups    []string `json:"groups"`
	Resources []string `json:"resources"`
	Names     []string `json:"names,omitempty"` // of objects; none for all
}
