package listeners

import "sync"

// Nodes are the nodes that listen, each as often as it has asked. The zero value is ready for use.
type Nodes struct {
	mu sync.Mutex // guards at
	at map[string]map[chan struct{}]bool
}

// Join gives a channel on which the node is woken when what it is told may have changed. It is woken until leave is called.
func (n *Nodes) Join(node string) (changed <-chan struct{}, leave func()) {
	wake := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at == nil {
		n.at = map[string]map[chan struct{}]bool{}
	}
	if n.at[node] == nil {
		n.at[node] = map[chan struct{}]bool{}
	}
	n.at[node][wake] = true
	return wake, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.at[node], wake)
		if len(n.at[node]) == 0 {
			delete(n.at, node)
		}
	}
}

// Wake wakes a node, if it listens.
func (n *Nodes) Wake(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wake(node)
}

// WakeAll wakes every node that listens.
func (n *Nodes) WakeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for node := range n.at {
		n.wake(node)
	}
}

// wake is Wake. mu is held.
func (n *Nodes) wake(node string) {
	for listener := range n.at[node] {
		select {
		case listener <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Len is how many nodes listen.
func (n *Nodes) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.at)
}
