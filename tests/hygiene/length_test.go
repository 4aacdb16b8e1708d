package hygiene

import (
	"fmt"
	"strings"
)

// Lengths in lines. Above the soft one a file or function needs an exception with a reason, above the hard one nothing
// helps. They are the lengths that the well-kept Go projects of this field stay under nine times out of ten.
const (
	fileSoft, fileHard         = 400, 600
	functionSoft, functionHard = 60, 100
)

// lengthExceptions are files, and functions as file:name, between the soft and the hard length.
func lengthExceptions() exceptions { return exceptions{} }

func fileLength(s source) []string {
	lines := strings.Count(s.text, "\n")
	if lines <= fileSoft || lines <= fileHard && lengthExceptions().covers(s.path) {
		return nil
	}
	return []string{fmt.Sprintf("%s has %d lines, more than %d; what in it is a thing of its own?", s.path, lines, fileSoft)}
}

func functionLength(s source) []string {
	var found []string
	for _, f := range s.functions() {
		lines := s.lines(f)
		soft := functionSoft
		if s.test() || lengthExceptions().covers(s.path+":"+f.Name.Name) {
			soft = functionHard // a test is a list of cases
		}
		if lines > soft {
			found = append(found, s.at(f, "%s has %d lines, more than %d; which step has a name?", f.Name.Name, lines, soft))
		}
	}
	return found
}
