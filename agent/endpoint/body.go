package endpoint

import "io"

// endsWith calls done when the body of an answer is closed. A watch that its server left ends as if the server had ended
// it: that is an answer every client knows, and goes on from where it was.
func endsWith(body io.ReadCloser, done func(), watch bool) io.ReadCloser {
	if both, upgraded := body.(io.ReadWriteCloser); upgraded {
		return upgradedBody{both, done}
	}
	return answerBody{body, done, watch}
}

type answerBody struct {
	io.ReadCloser
	done  func()
	watch bool
}

// Read ends a broken watch without an error.
func (b answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.watch {
		err = io.EOF
	}
	return n, err
}

// Close ends the request.
func (b answerBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

// upgradedBody is a connection in both directions.
type upgradedBody struct {
	io.ReadWriteCloser
	done func()
}

// Close ends the session.
func (b upgradedBody) Close() error {
	defer b.done()
	return b.ReadWriteCloser.Close()
}
