package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// restored begins the name of the config file with settings that the cluster counts on and that no other file says. It is read after the
// others of a backup.
const restored = "zz-restored-"

// Settings writes into dir what a restore makes of the settings on this machine, and gives the config file there: what lies at here stays, and
// files of the backup come where nothing is. Where here is "" the machine has none.
func (c *Checked) Settings(dir, here string) (configFile string, err error) {
	own := &gathering{}
	if here != "" {
		own.etc(here)
	}
	stay, err := own.found()
	if err != nil {
		return "", err
	}
	configFile = filepath.Join(dir, configName)
	for _, f := range append(append([]backup.File{{Name: etcRoot + "/" + configName, Mode: 0o600}}, c.Files...), stay...) { // one that comes later replaces
		if rest, ok := strings.CutPrefix(f.Name, etcRoot+"/"); ok && err == nil {
			err = durable.WriteFile(filepath.Join(dir, rest), f.Data, f.Mode)
		}
	}
	return configFile, err
}

// prepare makes settings of those that the cluster counts on, and that came as flags or variables to the server of the backup.
func (r Restoration) prepare(c *Checked) error {
	dir, err := os.MkdirTemp("", "skerry-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file, err := c.Settings(dir, r.ConfigFile)
	if err != nil {
		return err
	}
	if err := r.supplement(c, file); err != nil {
		return err
	}
	if file, err = c.Settings(dir, r.ConfigFile); err != nil || r.Ready == nil {
		return err
	}
	return r.Ready(c.Manifest, file)
}

// supplement adds a file with those that a config file lacks. What this machine says otherwise is for its operator to decide.
func (r Restoration) supplement(c *Checked, configFile string) error {
	common, err := c.common()
	if err != nil || common == nil {
		return err
	}
	against, err := common.Against(r.ConfigFile)
	if err != nil {
		return fault.New("read the settings on this machine").Because(err).Fix("mend them; nothing was changed")
	}
	if len(against) > 0 {
		return fault.New("the settings on this machine are not those of the cluster: %s", strings.Join(against, "; ")).
			Fix("remove them there, or make them the same, until the cluster is restored; nothing was changed")
	}
	text, err := common.Beyond(configFile)
	if err == nil && len(text) > 0 {
		name := etcRoot + "/" + configName + config.ConfigDropInSuffix + "/" + restored + r.Now.UTC().Format(stamp) + ".yaml"
		text = append([]byte("# Settings that the cluster counts on. Its server had them as flags or variables, or changed them since its start.\n"), text...)
		c.Files = append(c.Files, backup.File{Name: name, Mode: 0o600, Data: text})
	}
	return err
}

// common are the settings that the cluster counts on; nil where a backup does not have them.
func (c *Checked) common() (*config.Common, error) {
	text := c.file(serverRoot + "/" + settingsName)
	if text == nil {
		return nil, nil
	}
	common, err := config.ReadCommon(text)
	if err != nil {
		return nil, fault.New("read the settings of the cluster in the backup").Because(err).Fix("use skerry %s or a later one; nothing was changed", c.Manifest.Version)
	}
	return &common, nil
}

// settings writes how the server was set up to where nothing says so. One that cannot be written is only told, unless the cluster counts on it.
func (r Restoration) settings(done *Restored) error {
	for _, f := range done.Files {
		rest, ok := strings.CutPrefix(f.Name, etcRoot+"/")
		if !ok {
			continue
		}
		err := done.setting(r.settingsFile(rest), f)
		if err != nil && strings.HasPrefix(filepath.Base(rest), restored) {
			return fault.New("write the settings that the cluster counts on").Because(err).Fix("make the directory writable, or name a config file elsewhere with --config, for the server too")
		}
		done.Unplaced = errors.Join(done.Unplaced, err)
	}
	return nil
}

// unsettle removes what settings has written.
func (done *Restored) unsettle() (err error) {
	for _, name := range append(done.Placed, done.Differ...) {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// setting writes one file. One that is there stays; that of the backup lies beside it.
func (done *Restored) setting(at string, f backup.File) error {
	told := &done.Placed
	switch now, err := os.ReadFile(at); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case bytes.Equal(now, f.Data):
		return nil
	default:
		at, told = at+beside, &done.Differ
	}
	if err := durable.WriteFile(at, f.Data, f.Mode); err != nil {
		return err
	}
	*told = append(*told, at)
	return nil
}

// settingsFile is where a file beside the config file lies, which may have another name here.
func (r Restoration) settingsFile(rest string) string {
	if tail, ok := strings.CutPrefix(rest, configName); ok {
		return r.ConfigFile + tail
	}
	return filepath.Join(filepath.Dir(r.ConfigFile), rest)
}
