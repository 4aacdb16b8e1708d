package wallclock

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// difference is where the code has the seconds that it adds.
const difference = 32

// code is clock_gettime for the vDSO: it asks the kernel, and adds the difference when it is asked for the wall clock.
func code() []byte {
	code := make([]byte, difference+8)
	copy(code, []byte{
		0xb8, 0xe4, 0, 0, 0, // mov eax, clock_gettime
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi
		0x75, 0x0a, // jne to the end
		0x48, 0x8b, 0x0d, difference - 18, 0, 0, 0, // mov rcx, [rip + what is between]
		0x48, 0x01, 0x0e, // add [rsi], rcx
		0xc3, // ret
	})
	return code
}

// function is where clock_gettime begins in the vDSO, which is the same for all programs.
func function() (uint64, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(maps)) {
		var begin, end int64
		if _, err := fmt.Sscanf(line, "%x-%x", &begin, &end); err != nil || !strings.Contains(line, "[vdso]") {
			continue
		}
		image := make([]byte, end-begin)
		if err := readMemory("self", image, begin); err != nil {
			return 0, err
		}
		return symbol(image)
	}
	return 0, errors.New("this kernel has no vDSO")
}

func symbol(image []byte) (uint64, error) {
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return 0, err
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" && s.Size >= difference+8 {
			return s.Value, nil
		}
	}
	return 0, errors.New("the vDSO has no clock_gettime that is long enough")
}

// vdso is where a process has its own.
func vdso(pid int) (uint64, error) {
	const vdsoEntry = 33 // AT_SYSINFO_EHDR
	vector, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/auxv")
	if err != nil {
		return 0, err
	}
	for ; len(vector) >= 16; vector = vector[16:] {
		if binary.LittleEndian.Uint64(vector) == vdsoEntry {
			return binary.LittleEndian.Uint64(vector[8:]), nil
		}
	}
	return 0, errors.New("the program has no vDSO")
}

func readMemory(pid string, into []byte, at int64) error {
	memory, err := os.Open("/proc/" + pid + "/mem")
	if err != nil {
		return err
	}
	_, err = memory.ReadAt(into, at)
	return errors.Join(err, memory.Close())
}

func writeMemory(pid int, text []byte, at int64) error {
	memory, err := os.OpenFile("/proc/"+strconv.Itoa(pid)+"/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = memory.WriteAt(text, at)
	return errors.Join(err, memory.Close())
}
