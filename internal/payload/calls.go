package payload

import "encoding/binary"

// A call in a program says how far away the function is. Written as the place of the function instead, all calls of one function
// are the same bytes, which compress better: by a seventh, for a program's code. What is no call and looks like one is
// changed as well, and changed back.

// dense is the share of a piece, one call in so many bytes, from which on it is taken for code. Tables and texts only lose.
const dense = 200

// calls rewrites the calls of one kind of processor. at is where the piece begins in its file; sign is 1 to make distances
// places and -1 to make places distances. It returns how many there were. What it has looked at and left is not looked at again:
// a call behind it could change that, and the way back would find other calls.
type calls func(piece []byte, at int64, sign int32) int

// callsOf knows the processors by GOARCH; it is nil for others.
func callsOf(processor string) calls {
	switch processor {
	case "amd64":
		return callsAMD64
	case "arm64":
		return func(piece []byte, at int64, sign int32) int { return callsARM(piece, at, sign, 0xfc000000, 0x94000000) }
	case "arm":
		return func(piece []byte, at int64, sign int32) int { return callsARM(piece, at, sign, 0xff000000, 0xeb000000) }
	}
	return nil
}

// callsAMD64 changes CALL and JMP with a distance of 32 bits. Only distances of less than 128 MB are real ones, and after the change
// they are in that range again, so that both directions find the same calls.
func callsAMD64(piece []byte, at int64, sign int32) (found int) {
	const opcode, either, spare = 0xe8, 0xfe, 4 // E8 or E9; bits of the distance that only repeat its sign
	for i := 0; i+5 <= len(piece); i++ {
		if piece[i]&either != opcode {
			continue
		}
		operand := piece[i+1 : i+5]
		distance := int32(binary.LittleEndian.Uint32(operand))
		if distance<<spare>>spare == distance {
			place := (distance + sign*int32(at+int64(i))) << spare >> spare
			binary.LittleEndian.PutUint32(operand, uint32(place))
			found++
		}
		i += 4
	}
	return found
}

// callsARM changes BL, whose distance, in words, are the bits that opcode's mask leaves.
func callsARM(piece []byte, at int64, sign int32, mask, opcode uint32) (found int) {
	for i := int(-at & 3); i+4 <= len(piece); i += 4 {
		word := binary.LittleEndian.Uint32(piece[i:])
		if word&mask != opcode {
			continue
		}
		place := word + uint32(sign)*uint32((at+int64(i))>>2)
		binary.LittleEndian.PutUint32(piece[i:], opcode|place&^mask)
		found++
	}
	return found
}

// rewrite does it to a piece of the content that begins at at, file by file, and gives the number of calls.
func (x index) rewrite(piece []byte, at int64, sign int32, rewrite calls) (found int) {
	for part := range x.parts(at, int64(len(piece))) {
		found += rewrite(piece[part.from-at:part.to-at], part.from-part.begin, sign)
	}
	return found
}
