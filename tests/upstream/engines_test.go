package upstream

import (
	"testing"

	"github.com/skerry-io/skerry/tests/testdb"
	"github.com/skerry-io/skerry/tests/upstream/engines"
)

// under gives the engine that a name stands for; databases are started.
func under(t *testing.T, name string) string {
	t.Helper()
	switch name {
	case "postgres":
		return testdb.Postgres(t).PostgresURL("")
	case "mariadb":
		return testdb.MariaDB(t).MySQLURL("")
	}
	return name
}

// lacks are tests that some engines cannot pass, by the engine.
type lacks map[string][]string

// counted are tests that databases cannot pass, because they expect numbers. kine's table has two keys from the start, so that there are more
// of them and the first one of a test has another revision than with etcd; it has no versions of keys; several changes may come in one
// answer; and what is compacted as soon as a store has started may end all its watches.
func counted(tests ...string) lacks { return lacks{"postgres": tests, "mariadb": tests} }

// and adds those that look through the prefix that has the keys of a test lie in memory.
func (l lacks) and(memory ...string) lacks {
	l[engines.Memory] = memory
	return l
}

// onEach runs a suite on engines; least is how many tests it has.
func onEach(t *testing.T, s Suite, least int, without lacks, names ...string) {
	program := s.build(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t, program, under(t, name), without[name], least)
		})
	}
}

// ours are the engines that answer etcd's API by what this project wrote.
func ours() []string { return []string{engines.Disk, engines.Memory, "postgres", "mariadb"} }
