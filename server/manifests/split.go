package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// document is one part of a file, as JSON.
type document struct {
	line int // where it begins, from 1
	json []byte
}

// documents takes a file apart: YAML documents, or JSON objects one after the other. Empty ones are left out.
func documents(data []byte) ([]document, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		if docs, err := jsonStream(data); err == nil {
			return docs, nil // else it may be YAML that begins with a brace
		}
	}
	var docs []document
	for _, part := range split(data) {
		text, err := yaml.YAMLToJSONStrict(part.json)
		if err != nil {
			return nil, inFile(err, part)
		}
		if string(text) != "null" {
			docs = append(docs, document{part.line + leading(part.json), text})
		}
	}
	return docs, nil
}

func jsonStream(data []byte) ([]document, error) {
	var docs []document
	for in := json.NewDecoder(bytes.NewReader(data)); ; {
		var text json.RawMessage
		err := in.Decode(&text)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		begin := in.InputOffset() - int64(len(text))
		docs = append(docs, document{1 + bytes.Count(data[:begin], []byte("\n")), text})
	}
}

// split cuts a YAML text at its document marks. The parts hold YAML still.
func split(data []byte) []document {
	var parts []document
	begin, first := 0, 1
	cut := func(end int) {
		if text := data[begin:end]; !blank(text) {
			parts = append(parts, document{first, text})
		}
	}
	number := 0
	for at := 0; at < len(data); {
		number++
		size := bytes.IndexByte(data[at:], '\n') + 1
		if size == 0 {
			size = len(data) - at
		}
		if mark(data[at : at+size]) {
			cut(at)
			begin, first = at+len("---"), number // what follows a mark on its line belongs to the document
		}
		at += size
	}
	cut(len(data))
	return parts
}

// mark tells the line that begins or ends a document.
func mark(line []byte) bool {
	for _, word := range []string{"---", "..."} {
		if rest, found := bytes.CutPrefix(line, []byte(word)); found && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))) {
			return true
		}
	}
	return false
}

// leading counts the lines before the first that says something.
func leading(text []byte) (count int) {
	for line := range bytes.Lines(text) {
		if !blank(line) {
			break
		}
		count++
	}
	return count
}

// blank says that a text holds nothing but comments and directives.
func blank(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

var yamlLine = regexp.MustCompile(`\bline (\d+)`)

// inFile makes the line numbers of a document's error those of its file.
func inFile(err error, part document) error {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	text = strings.TrimPrefix(text, "yaml: ")
	if !yamlLine.MatchString(text) {
		return fmt.Errorf("line %d: %s", part.line+leading(part.json), text)
	}
	return errors.New(yamlLine.ReplaceAllStringFunc(text, func(found string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(found, "line "))
		return "line " + strconv.Itoa(part.line+n-1)
	}))
}
