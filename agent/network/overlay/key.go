package overlay

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// openKey reads this node's WireGuard key, made at the first time. It outlives a reboot: other nodes know it.
func openKey(path string) (wgtypes.Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := wgtypes.GeneratePrivateKey()
		if err != nil {
			return key, err
		}
		return key, durable.WriteFile(path, []byte(key.String()+"\n"), 0o600)
	}
	if err != nil {
		return wgtypes.Key{}, err
	}
	key, err := wgtypes.ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return key, fault.New("read the WireGuard key %s", path).Because(err).Fix("remove the file: a new key is made, and the other nodes learn it")
	}
	return key, nil
}
