//go:build tools

// Package tools names the cluster's DNS server, so that go.mod and go.sum pin it.
package tools

import (
	_ "github.com/coredns/coredns"
)
