package netpol

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// watchTables calls lost when somebody has taken a table of ours away, or may have, until ctx ends. Tables that are replaced
// in one transaction are not lost. opened is called once nothing is missed any more.
func watchTables(ctx context.Context, opened, lost func()) error {
	socket, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return fmt.Errorf("watch the tables of network policies: %w", err)
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wait.Go(func() {
		<-ctx.Done()
		socket.Close()
	})
	opened()
	gone := map[byte]bool{}
	for {
		messages, _, err := socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			lost() // there was too much to read it all
			continue
		case err != nil:
			return fmt.Errorf("watch the tables of network policies: %w", err)
		}
		for _, m := range messages {
			if follows(gone, m) {
				lost()
			}
		}
	}
}

// follows notes what a message says of our tables, by family, and tells at the end of a transaction whether one is gone.
func follows(gone map[byte]bool, m syscall.NetlinkMessage) bool {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < nl.SizeofNfgenmsg {
		return false
	}
	family, attrs := m.Data[0], m.Data[nl.SizeofNfgenmsg:]
	switch m.Header.Type & 0xff {
	case unix.NFT_MSG_NEWTABLE:
		if tableOf(attrs) == table {
			delete(gone, family)
		}
	case unix.NFT_MSG_DELTABLE:
		if tableOf(attrs) == table {
			gone[family] = true
		}
	case unix.NFT_MSG_NEWGEN:
		any := len(gone) > 0
		clear(gone)
		return any
	}
	return false
}

func tableOf(text []byte) string {
	attrs, err := nl.ParseRouteAttr(text)
	if err != nil {
		return ""
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.NFTA_TABLE_NAME {
			return strings.TrimRight(string(a.Value), "\x00")
		}
	}
	return ""
}
