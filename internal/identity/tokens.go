package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"
)

// Token is one entry of the file of static tokens, a YAML list under "tokens".
// The token itself is nowhere: only its hash.
type Token struct {
	Name       string            `json:"name"`   // of the user
	SHA256     string            `json:"sha256"` // of the token, 64 hexadecimal digits
	Groups     []string          `json:"groups,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Expires    time.Time         `json:"expires,omitzero"` // zero: never
}

// maxTokenFile bounds the file: some ten thousand tokens.
const maxTokenFile = 4 << 20

// settled is far above the grain of a file system's times.
const settled = time.Second

// tokenFile is a file of tokens, read again when it has changed. While it
// cannot be read, or is not safe, it has no tokens: a token that was taken
// out must not live on because of a mistake.
type tokenFile struct {
	path string

	mu     sync.Mutex
	seen   fingerprint
	tokens []storedToken
	err    error
}

// fingerprint is what differs when a file was written or replaced.
type fingerprint struct {
	dev, inode uint64
	size       int64
	written    unix.Timespec
	changed    unix.Timespec // also by chmod and chown
}

type storedToken struct {
	hash    [sha256.Size]byte
	id      Identity
	expires time.Time
}

// current returns the tokens that the file has now.
func (f *tokenFile) current() ([]storedToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Not blocked by a FIFO; never a link that somebody else may turn.
	file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		f.seen = fingerprint{}
		return nil, fmt.Errorf("token file: %w", err)
	}
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return nil, fmt.Errorf("token file %s: %w", f.path, err)
	}
	now := fingerprint{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim} //nolint:unconvert // not uint64 on every architecture
	if now != f.seen {
		f.tokens, f.err = readTokens(file, &st)
		f.seen = now
		if time.Since(time.Unix(st.Ctim.Unix())) < settled {
			f.seen = fingerprint{} // a further change might not show
		}
	}
	if f.err != nil {
		return nil, fmt.Errorf("token file %s: %w", f.path, f.err)
	}
	return f.tokens, nil
}

func readTokens(file io.Reader, st *unix.Stat_t) ([]storedToken, error) {
	if err := safe(st); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxTokenFile {
		return nil, fmt.Errorf("more than %d bytes", maxTokenFile)
	}
	return parseTokens(data)
}

// safe refuses a file that others could read or write.
func safe(st *unix.Stat_t) error {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("not a regular file")
	case st.Mode&0o077 != 0:
		return fmt.Errorf("mode %04o: others may read or write it, want 0600", st.Mode&0o7777)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("belongs to uid %d, want root or uid %d", st.Uid, os.Geteuid())
	}
	return nil
}

func parseTokens(data []byte) ([]storedToken, error) {
	var file struct {
		Tokens []Token `json:"tokens"`
	}
	if err := yaml.UnmarshalWithOptions(data, &file, yaml.Strict()); err != nil {
		// Without the source, in which there are hashes.
		return nil, errors.New(yaml.FormatError(err, false, false))
	}
	tokens := make([]storedToken, 0, len(file.Tokens))
	known := map[[sha256.Size]byte]bool{}
	for i := range file.Tokens {
		t, err := file.Tokens[i].store()
		if err == nil && known[t.hash] {
			err = errors.New("sha256: another token has the same")
		}
		if err != nil {
			return nil, fmt.Errorf("tokens[%d] (%q): %w", i, file.Tokens[i].Name, err)
		}
		known[t.hash] = true
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func (t *Token) store() (s storedToken, err error) {
	hash, err := hex.DecodeString(t.SHA256)
	if err != nil || len(hash) != len(s.hash) {
		return s, errors.New("sha256: not 64 hexadecimal digits")
	}
	copy(s.hash[:], hash)
	s.expires = t.Expires
	s.id, err = user(t.Name, t.Groups, t.Attributes)
	return s, err
}

// find compares with every token, each in constant time.
func find(tokens []storedToken, bearer string) *storedToken {
	hash := sha256.Sum256([]byte(bearer))
	var found *storedToken
	for i := range tokens {
		if subtle.ConstantTimeCompare(hash[:], tokens[i].hash[:]) == 1 {
			found = &tokens[i]
		}
	}
	return found
}

// bearer is who a bearer token is of: first as a static one, then as an
// identity provider's.
func (a *Authenticator) bearer(ctx context.Context, bearer string) (Identity, error) {
	id, known, err := a.static(bearer)
	if known || err != nil {
		return id, err
	}
	if len(a.issuers) > 0 && strings.Count(bearer, ".") == 2 {
		return a.oidc(ctx, bearer)
	}
	return Identity{}, refuse("the bearer token is not known")
}

func (a *Authenticator) static(bearer string) (id Identity, known bool, err error) {
	if a.tokens == nil {
		return Identity{}, false, nil
	}
	tokens, err := a.tokens.current()
	if err != nil && strings.Count(bearer, ".") == 2 && len(a.issuers) > 0 {
		return Identity{}, false, nil // an identity provider's needs no file
	}
	if err != nil {
		return Identity{}, false, &Refusal{Text: "static tokens cannot be read at the moment", Unavailable: true, Cause: err}
	}
	t := find(tokens, bearer)
	switch {
	case t == nil:
		return Identity{}, false, nil
	case !t.expires.IsZero() && !a.config.Now().Before(t.expires):
		return Identity{}, true, refuse("the token of %s expired at %s", t.id, t.expires.UTC().Format(time.RFC3339))
	}
	return t.id, true, nil
}
