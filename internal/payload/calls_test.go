package payload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// code is random bytes in which opcodes are frequent, also within each other's distances.
func code(random *rand.Rand, length int) []byte {
	b := make([]byte, length)
	for i := range b {
		b[i] = []byte{0xe8, 0xe9, 0x00, 0xff, 0x07, 0xf8, 0x94, 0x97, 0xeb, byte(random.Uint32())}[random.IntN(10)]
	}
	return b
}

func TestCallsAreWrittenBackAsTheyWere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, processor := range []string{"amd64", "arm64", "arm"} {
		rewrite, found := callsOf(processor), 0
		for range 2000 {
			was := code(random, random.IntN(300))
			at := random.Int64N(1 << 40)
			now := bytes.Clone(was)
			n := rewrite(now, at, 1)
			if back := rewrite(now, at, -1); back != n || !bytes.Equal(now, was) {
				t.Fatalf("%s at %d: %d calls there, %d back; %x became %x", processor, at, n, back, was, now)
			}
			found += n
		}
		if found < 1000 {
			t.Errorf("%s: only %d calls were tried", processor, found)
		}
	}
}

func TestCallsOfOneFunctionBecomeTheSame(t *testing.T) {
	const function, first, second = 0x100000, 0x1000, 0x204
	for processor, call := range map[string]func(from int) []byte{
		"amd64": func(from int) []byte { return binary.LittleEndian.AppendUint32([]byte{0xe8}, uint32(function-from-5)) },
		"arm64": func(from int) []byte {
			return binary.LittleEndian.AppendUint32(nil, 0x94000000|uint32(function-from)>>2&0x3ffffff)
		},
		"arm": func(from int) []byte {
			return binary.LittleEndian.AppendUint32(nil, 0xeb000000|uint32(function-from-8)>>2&0xffffff)
		},
	} {
		a, b := call(first), call(second)
		if bytes.Equal(a, b) {
			t.Fatalf("%s: they are the same before", processor)
		}
		if callsOf(processor)(a, first, 1) != 1 || callsOf(processor)(b, second, 1) != 1 || !bytes.Equal(a, b) {
			t.Errorf("%s: %x and %x", processor, a, b)
		}
	}
}

func TestAnArchiveOfPrograms(t *testing.T) {
	for _, processor := range []string{"amd64", "arm64", "arm"} {
		from, k := tree(t, 1), small(t)
		k.Processor = processor
		rewritten := 0
		write(t, from, "bin/cni", code(rand.New(rand.NewPCG(3, 4)), 4321)) // the files behind it begin at an odd place
		write(t, from, "bin/skerry", code(rand.New(rand.NewPCG(5, 6)), 3<<16+12345))
		var b bytes.Buffer
		if err := k.write(&b, from); err != nil {
			t.Fatal(err)
		}
		p, s := open(t, save(t, b.Bytes())), Store{Dir: t.TempDir()}
		prepare(t, s, p, from)
		for _, f := range p.index.frames {
			if f.calls == processor {
				rewritten++
			}
		}
		if rewritten == 0 || rewritten == len(p.index.frames) {
			t.Errorf("%s: %d of %d frames are taken for code", processor, rewritten, len(p.index.frames))
		}
	}
}
