// Demo is the small web server of the quick start and of the tests: it says which pod answers, and it stops without dropping a request.
//
// Owns: its pages and its graceful end. Does not know: Kubernetes, or anything else of Skerry.
// Promises: after SIGTERM it goes on answering for a moment (until every node has taken it out of the Service), then ends with 0.
// Start reading at main.
package main
