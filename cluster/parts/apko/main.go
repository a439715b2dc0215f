// Command apko-resolver asks apko's own resolver what environments install. Each line of its input is a
// repository with questions, and it answers each with a line:
//
//	{"packages": [{"name": …}, …], "worlds": [["need", …], …], "tries": 2}
//	[{"choices": {"need": [3]}, "installs": [{"packages": [0, 3]}]}, …]
//
// A package is the number of its place in the list; -1 says that nothing satisfies the need. apko
// walks over maps, whose order changes from one time to the next, so it is asked several times: an
// answer lists each result once, which is one result for nearly every question.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"slices"

	"chainguard.dev/apko/pkg/apk/apk"
)

type listed struct {
	Name, Version, Origin string
	Depends, Provides     []string
	InstallIf             []string `json:"install_if"`
	Priority              uint64
	Repository            string
	Pin                   string
}

type question struct {
	Packages []listed
	Worlds   [][]string
	Tries    int
}

type outcome struct {
	Packages []int  `json:"packages"`
	Error    string `json:"error,omitempty"`
}

type answer struct {
	Choices  map[string][]int `json:"choices"`
	Installs []outcome        `json:"installs"`
}

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	for in.More() {
		var asked question
		if err := in.Decode(&asked); err != nil {
			log.Fatal(err)
		}
		answers := make([]answer, len(asked.Worlds))
		for range asked.Tries {
			ask(asked, answers)
		}
		if err := out.Encode(answers); err != nil {
			log.Fatal(err)
		}
	}
}

func ask(asked question, answers []answer) {
	ctx := context.Background()
	numbers := map[*apk.Package]int{}
	indexes := indexesOf(asked.Packages, numbers)
	for i, world := range asked.Worlds {
		answer := &answers[i]
		if answer.Choices == nil {
			answer.Choices = map[string][]int{}
		}
		for _, need := range world {
			chosen := -1
			found, err := apk.NewPkgResolver(ctx, indexes).ResolvePackage(need, map[*apk.RepositoryPackage]string{})
			if err == nil && len(found) > 0 {
				chosen = numbers[found[0].Package]
			}
			if !slices.Contains(answer.Choices[need], chosen) {
				answer.Choices[need] = append(answer.Choices[need], chosen)
			}
		}
		result := outcome{Packages: []int{}}
		installed, _, err := apk.NewPkgResolver(ctx, indexes).GetPackagesWithDependencies(ctx, world, nil)
		if err != nil {
			result.Error = err.Error()
		} else {
			for _, one := range installed {
				result.Packages = append(result.Packages, numbers[one.Package])
			}
		}
		known := func(other outcome) bool {
			return other.Error == result.Error && slices.Equal(other.Packages, result.Packages)
		}
		if !slices.ContainsFunc(answer.Installs, known) {
			answer.Installs = append(answer.Installs, result)
		}
	}
}

// indexesOf makes an index of each run of packages that are in one repository under one pin.
func indexesOf(packages []listed, numbers map[*apk.Package]int) []apk.NamedIndex {
	var indexes []apk.NamedIndex
	for first := 0; first < len(packages); {
		index := &apk.APKIndex{}
		next := first
		for ; next < len(packages); next++ {
			one := packages[next]
			if one.Repository != packages[first].Repository || one.Pin != packages[first].Pin {
				break
			}
			listed := &apk.Package{
				Name: one.Name, Version: one.Version, Origin: one.Origin, Arch: "x86_64",
				Dependencies: one.Depends, Provides: one.Provides, InstallIf: one.InstallIf,
				ProviderPriority: one.Priority,
			}
			numbers[listed] = next
			index.Packages = append(index.Packages, listed)
		}
		repository := apk.Repository{URI: packages[first].Repository}
		named := apk.NewNamedRepositoryWithIndex(packages[first].Pin, repository.WithIndex(index))
		indexes = append(indexes, named)
		first = next
	}
	return indexes
}
