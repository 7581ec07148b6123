// Checks a log with Go's own transparency log code (golang.org/x/mod/sumdb), which knows nothing of us: that the checkpoint is
// signed by the key, that every entry is in the tree at its place, and that the tree grew from an older checkpoint.
//
//	verify DIR LOG-VKEY OLDER-CHECKPOINT [WITNESS-VKEY]
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refuted:", err)
		os.Exit(1)
	}
}

type head struct {
	origin string
	size   int64
	root   tlog.Hash
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: verify DIR LOG-VKEY OLDER-CHECKPOINT [WITNESS-VKEY]")
	}
	dir, vkey := args[0], args[1]
	newest, err := open(filepath.Join(dir, "checkpoint"), vkey)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	older, err := open(args[2], vkey)
	if err != nil {
		return fmt.Errorf("older checkpoint: %w", err)
	}
	reader := tlog.TileHashReader(tlog.Tree{N: newest.size, Hash: newest.root}, tiles{dir})
	proof, err := tlog.ProveTree(newest.size, older.size, reader)
	if err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	if err := tlog.CheckTree(proof, newest.size, newest.root, older.size, older.root); err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	for index := int64(0); index < newest.size; index++ {
		entry, err := entry(dir, index, newest.size)
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		proof, err := tlog.ProveRecord(newest.size, index, reader)
		if err != nil {
			return fmt.Errorf("inclusion of %d: %w", index, err)
		}
		if err := tlog.CheckRecord(proof, newest.size, newest.root, index, tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("inclusion of %d: %w", index, err)
		}
	}
	if len(args) > 3 {
		if err := cosigned(filepath.Join(dir, "checkpoint"), args[3]); err != nil {
			return fmt.Errorf("cosignature: %w", err)
		}
	}
	fmt.Printf("%s: %d entries included, consistent with %d\n", newest.origin, newest.size, older.size)
	return nil
}

// open reads a signed checkpoint with Go's note package.
func open(path, vkey string) (head, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return head{}, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return head{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return head{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return head{}, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return head{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return head{lines[0], size, root}, err
}

// tiles reads C2SP tlog-tiles, whose paths are Go's own but for the fixed height.
type tiles struct{ dir string }

func (tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// entry reads one entry of a bundle: 16-bit length, bytes.
func entry(dir string, index, size int64) ([]byte, error) {
	bundle := index / 256
	width := size - bundle*256
	if width > 256 {
		width = 256
	}
	path := tlog.Tile{H: 8, L: 0, N: bundle, W: int(width)}.Path()
	path = strings.Replace(path, "tile/8/0/", "tile/entries/", 1)
	bytes, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		return nil, err
	}
	for at := int64(0); ; at++ {
		if len(bytes) < 2 {
			return nil, fmt.Errorf("the bundle ends early")
		}
		length := int(binary.BigEndian.Uint16(bytes))
		if len(bytes) < 2+length {
			return nil, fmt.Errorf("the bundle ends early")
		}
		if at == index%256 {
			return bytes[2 : 2+length], nil
		}
		bytes = bytes[2+length:]
	}
}

// cosigned checks a C2SP cosignature/v1 line with nothing but Go's Ed25519.
func cosigned(path, vkey string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	parts := strings.SplitN(vkey, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(parts) != 3 || len(key) != 33 || key[0] != 4 {
		return fmt.Errorf("%s is no cosigner's key", vkey)
	}
	signed, lines, found := strings.Cut(string(text), "\n\n")
	if !found {
		return fmt.Errorf("no signatures")
	}
	for _, line := range strings.Split(lines, "\n") {
		words := strings.Fields(line)
		if len(words) != 3 || words[1] != parts[0] {
			continue
		}
		signature, err := base64.StdEncoding.DecodeString(words[2])
		if err != nil || len(signature) != 4+8+64 {
			continue
		}
		time := binary.BigEndian.Uint64(signature[4:12])
		message := fmt.Sprintf("cosignature/v1\ntime %d\n%s\n", time, signed)
		if ed25519.Verify(key[1:], []byte(message), signature[12:]) {
			return nil
		}
	}
	return fmt.Errorf("no line of %s verifies", parts[0])
}
