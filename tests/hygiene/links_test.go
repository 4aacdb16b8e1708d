package hygiene

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// deadLinks finds relative links in a Markdown text that lead nowhere.
func deadLinks(file, text string, texts map[string]string) []string {
	var found []string
	for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
		to, _, _ := strings.Cut(link[1], "#")
		if to == "" || strings.Contains(to, "://") {
			continue
		}
		to = path.Join(path.Dir(file), to)
		if !hasPath(texts, to) {
			found = append(found, fmt.Sprintf("%s: the link to %s leads nowhere", file, to))
		}
	}
	return found
}

// hasPath says that the tree has this file, or a folder of that name.
func hasPath(texts map[string]string, name string) bool {
	for file := range texts {
		if under(file, name) {
			return true
		}
	}
	return false
}
