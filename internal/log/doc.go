// Package log is where every line of output comes together.
//
// Owns: the root logger and the bridges from the loggers of the libraries inside (klog, logrus, the standard one).
// Does not know: what is logged.
// Promises: one line per event with key=value, the same form from every library; only Bridge touches global loggers.
// Start reading at New.
package log
