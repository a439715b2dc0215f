// Package formatted stands in for github.com/chainguard-dev/yam, which the module proxy
// does not serve: melange only needs an encoder that writes YAML, not its formatting rules.
package formatted

import (
	"io"

	"gopkg.in/yaml.v3"
)

// Encoder writes YAML documents with an indentation of two spaces.
type Encoder struct{ enc *yaml.Encoder }

// NewEncoder returns an Encoder that writes to w.
func NewEncoder(w io.Writer) Encoder {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	return Encoder{enc}
}

// AutomaticConfig would read .yam.yaml; there is nothing to configure here.
func (e Encoder) AutomaticConfig() Encoder { return e }

// Encode writes one document.
func (e Encoder) Encode(in any) error { return e.enc.Encode(in) }
