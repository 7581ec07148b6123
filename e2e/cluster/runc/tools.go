//go:build tools

// Package tools names the OCI runtime of the node, so that go.mod and go.sum
// pin it. Debian's own runc is too old for this containerd.
package tools

import (
	_ "github.com/opencontainers/runc"
)
