package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// NFTable is an nftables table that an embedded component makes. Apply only records it; undo deletes it over netlink.
type NFTable struct {
	Family string `json:"family"` // ip, ip6, inet, bridge, ...
	Name   string `json:"name"`
}

func (n NFTable) kind() string { return "nftable" }
func (n NFTable) id() string   { return n.Family + " " + n.Name }
func (n NFTable) live() bool   { return true }
func (n NFTable) apply() error { return nil }

func (n NFTable) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, n.exists)
}

func (n NFTable) undo(_ context.Context, before json.RawMessage) (string, error) {
	if existed, err := existedBefore(before); err != nil || existed {
		return notOurs, err
	}
	there, err := n.exists()
	if err != nil || !there {
		return "", err
	}
	family, err := nfFamily(n.Family)
	if err != nil {
		return "", err
	}
	err = nfBatch(nfMessage{kind: unix.NFT_MSG_DELTABLE, flags: unix.NLM_F_ACK, family: family, attrs: nfString(unix.NFTA_TABLE_NAME, n.Name)})
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	return "", err
}

// exists asks the kernel. One without nf_tables, or without the family, has no such table.
func (n NFTable) exists() (bool, error) {
	family, err := nfFamily(n.Family)
	if err != nil {
		return false, err
	}
	err = nfAsk(nfMessage{kind: unix.NFT_MSG_GETTABLE, family: family, attrs: nfString(unix.NFTA_TABLE_NAME, n.Name)})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL),
		errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return false, nil
	}
	return false, fmt.Errorf("look for nftables table %s: %w", n.id(), err)
}
