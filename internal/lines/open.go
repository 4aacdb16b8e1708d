package lines

import "net/http"

// Open begins the answer, which the asker sees at once, and gives what says a line of it. A line has no line break in it.
func Open(w http.ResponseWriter) (say func(line []byte) error, err error) {
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w).Flush
	if err := flush(); err != nil { // there may be nothing to say for long
		return nil, err
	}
	return func(line []byte) error {
		if _, err := w.Write(line); err != nil {
			return err
		}
		if _, err := w.Write([]byte{'\n'}); err != nil {
			return err
		}
		return flush()
	}, nil
}
