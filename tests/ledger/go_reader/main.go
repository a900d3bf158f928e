// Reads a Yinzheng ledger with the Go team's transparency log libraries and nothing of ours.
//
//	ledger-reader URL VKEY [PROOF ...]
//
// It opens the checkpoint with the verifier key, recomputes the root from the entry bundles,
// authenticates every tile it reads against that root, proves each entry from the tiles, and checks
// the proof files (which must carry their entry). Prints "origin size root" and exits 0, or says
// what is wrong and exits 1.
package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: ledger-reader URL VKEY [PROOF ...]"))
	}
	verifier, err := note.NewVerifier(os.Args[2])
	fail(err)
	log := reader{strings.TrimSuffix(os.Args[1], "/")}
	signed, err := log.get("checkpoint")
	fail(err)
	origin, tree, err := openCheckpoint(string(signed), verifier)
	fail(err)

	entries, err := log.entries(tree.N)
	fail(err)
	fail(checkRoot(entries, tree))
	fail(log.checkEntries(entries, tree))
	for _, file := range os.Args[3:] {
		fail(checkProofFile(file, verifier))
	}
	fmt.Println(origin, tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func openCheckpoint(signed string, verifier note.Verifier) (string, tlog.Tree, error) {
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return "", tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 {
		return "", tlog.Tree{}, fmt.Errorf("not a checkpoint: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return "", tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return lines[0], tlog.Tree{N: size, Hash: root}, err
}

// checkRoot recomputes the tree from the entries alone.
func checkRoot(entries [][]byte, tree tlog.Tree) error {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for index, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(index), entry, read)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(int64(len(entries)), read)
	if err == nil && root != tree.Hash {
		err = fmt.Errorf("the entries hash to %v, the checkpoint says %v", root, tree.Hash)
	}
	return err
}

// checkEntries proves a sample of entries from the tiles; the library authenticates each tile.
func (log reader) checkEntries(entries [][]byte, tree tlog.Tree) error {
	tiles := tlog.TileHashReader(tree, log)
	for index := 0; index < len(entries); index += 1 + len(entries)/50 {
		leaf := tlog.RecordHash(entries[index])
		proof, err := tlog.ProveRecord(tree.N, int64(index), tiles)
		if err == nil {
			err = tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), leaf)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %v", index, err)
		}
		leaf[0] ^= 1
		if tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), leaf) == nil {
			return fmt.Errorf("entry %d: an altered entry was accepted", index)
		}
	}
	return nil
}

func checkProofFile(file string, verifier note.Verifier) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, signed, _ := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("%s: not a proof that carries its entry", file)
	}
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	_, tree, err := openCheckpoint(signed, verifier)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

// reader fetches the log's resources and is the tile source of the library.
type reader struct{ url string }

func (log reader) get(path string) ([]byte, error) {
	answer, err := http.Get(log.url + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func (log reader) entries(size int64) ([][]byte, error) {
	var entries [][]byte
	for number := int64(0); number*256 < size; number++ {
		width := size - number*256
		if width > 256 {
			width = 256
		}
		bundle, err := log.get("tile/entries/" + tilePath(number, int(width)))
		if err != nil {
			return nil, err
		}
		for len(bundle) > 0 {
			end := 2 + int(bundle[0])<<8 + int(bundle[1])
			entries = append(entries, bundle[2:end])
			bundle = bundle[end:]
		}
	}
	if int64(len(entries)) != size {
		return nil, fmt.Errorf("%d entries, the checkpoint says %d", len(entries), size)
	}
	return entries, nil
}

func (log reader) Height() int { return tileHeight }

func (log reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := log.get(fmt.Sprintf("tile/%d/%s", tile.L, tilePath(tile.N, tile.W)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (log reader) SaveTiles([]tlog.Tile, [][]byte) {}

func tilePath(number int64, width int) string {
	path := fmt.Sprintf("%03d", number%1000)
	for number >= 1000 {
		number /= 1000
		path = fmt.Sprintf("x%03d/%s", number%1000, path)
	}
	if width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	return path
}
