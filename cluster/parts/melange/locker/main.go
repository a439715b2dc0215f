// Command apko-locker does with an environment what melange's buildGuest has apko do: solve it, lock
// what was found, and solve that list again. Each line of its input is a repository with an
// environment, and it answers each with a line:
//
//	{"packages": [{"name": …}, …], "needs": ["need", …]}
//	{"installed": ["name=version", …]}
//
// Where apko gives up, the answer has an "error". It needs no network: the repository is a directory.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"chainguard.dev/apko/pkg/apk/apk"
	"chainguard.dev/apko/pkg/build"
	"chainguard.dev/apko/pkg/build/types"
	"github.com/chainguard-dev/clog"
)

type listed struct {
	Name, Version, Origin string
	Depends, Provides     []string
	Priority              uint64
}

type question struct {
	Packages []listed
	Needs    []string
}

type answer struct {
	Installed []string `json:"installed"`
	Error     string   `json:"error,omitempty"`
}

func main() {
	quiet := clog.New(slog.NewTextHandler(io.Discard, nil))
	ctx := clog.WithLogger(context.Background(), quiet)
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	for in.More() {
		var asked question
		if err := in.Decode(&asked); err != nil {
			log.Fatal(err)
		}
		installed, err := install(ctx, asked)
		told := answer{Installed: installed}
		if err != nil {
			told.Error = err.Error()
		}
		if err := out.Encode(told); err != nil {
			log.Fatal(err)
		}
	}
}

func install(ctx context.Context, asked question) ([]string, error) {
	// A directory of its own: apko remembers indexes by their places.
	directory, err := os.MkdirTemp("", "apko-locker-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	if err := publish(asked.Packages, directory); err != nil {
		log.Fatal(err)
	}
	arch := types.ParseArchitecture("x86_64")
	environment := types.ImageConfiguration{
		Contents: types.ImageContents{BuildRepositories: []string{directory}, Packages: asked.Needs},
		Archs:    []types.Architecture{arch},
	}
	options := []build.Option{
		build.WithImageConfiguration(environment),
		build.WithArch(arch),
		build.WithIgnoreSignatures(true),
		build.WithTempDir(directory),
	}
	locked, _, err := build.LockImageConfiguration(ctx, environment, options...)
	if err != nil {
		return nil, err
	}
	options = append(options, build.WithImageConfiguration(*locked["index"]))
	again, err := build.NewMultiArch(ctx, environment.Archs, options...)
	if err != nil {
		return nil, err
	}
	found, err := again.BuildPackageLists(ctx)
	if err != nil {
		return nil, err
	}
	installed := []string{}
	for _, one := range found[arch] {
		installed = append(installed, one.Name+"="+one.Version)
	}
	return installed, nil
}

func publish(packages []listed, directory string) error {
	index := &apk.APKIndex{}
	for _, one := range packages {
		index.Packages = append(index.Packages, &apk.Package{
			Name: one.Name, Version: one.Version, Origin: one.Origin, Arch: "x86_64",
			Dependencies: one.Depends, Provides: one.Provides, ProviderPriority: one.Priority,
			Checksum: make([]byte, 20),
		})
	}
	archive, err := apk.ArchiveFromIndex(index)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(archive)
	if err != nil {
		return err
	}
	place := filepath.Join(directory, "x86_64")
	if err := os.Mkdir(place, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(place, "APKINDEX.tar.gz"), data, 0o644)
}
