package config

// Agent holds the settings of `skerry agent`.
type Agent struct {
	Node

	Server string `key:"server" short:"s" env:"SKERRY_URL" as:"URL" help:"server to join, for example https://10.0.0.1:6443"`
}
