package testhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// machineSysctls are not namespaced and are known to be changed by a Kubernetes node.
func machineSysctls() []string {
	return []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
		"fs/inotify/max_user_instances", "fs/inotify/max_user_watches", "fs/inotify/max_queued_events",
		"fs/file-max", "fs/nr_open",
	}
}

// savedSysctls is where they are kept while labs are open.
func savedSysctls() string { return filepath.Join(os.TempDir(), "skt.sysctls.json") }

func saveSysctls() error {
	values := map[string]string{}
	for _, key := range machineSysctls() {
		if v, err := os.ReadFile("/proc/sys/" + key); err == nil {
			values[key] = string(v)
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encode sysctls: %w", err)
	}
	return os.WriteFile(savedSysctls(), text, 0o600)
}

// restoreSysctls writes back what differs from the saved values, if there are any, and forgets them.
func restoreSysctls() error {
	text, err := os.ReadFile(savedSysctls())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read saved sysctls: %w", err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("decode saved sysctls: %w", err)
	}
	var errs []error
	for key, want := range values {
		path := "/proc/sys/" + key
		if now, err := os.ReadFile(path); err == nil && string(now) != want {
			errs = append(errs, os.WriteFile(path, []byte(want), 0o600))
		}
	}
	return errors.Join(append(errs, os.Remove(savedSysctls()))...)
}
