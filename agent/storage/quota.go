package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Project ids that volumes get. The range is far from where people and the kubelet begin to count.
const firstProject, lastProject = 0x534b0000, 0x534bffff

// What the kernel's headers say of project quotas, and x/sys does not.
const (
	getAttributes, setAttributes = 0x801c581f, 0x401c5820 // FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
	projectInherit               = 0x200                  // FS_XFLAG_PROJINHERIT
	projectQuota                 = 2                      // PRJQUOTA
	quotaState, quotaSet         = 0x5805, 0x800008       // Q_XGETQSTAT, Q_SETQUOTA
	projectEnforced              = 1 << 5                 // FS_QUOTA_PDQ_ENFD
	blockLimits                  = 1                      // QIF_BLIMITS
	quotaBlock                   = 1024                   // unit of limits, in bytes
)

// attributes is struct fsxattr.
type attributes struct {
	flags, extentSize, extents, project, cowExtentSize uint32
	_                                                  [8]byte
}

// limits is struct if_dqblk.
type limits struct {
	hard, soft, space, inodesHard, inodesSoft, inodes, blockTime, inodeTime uint64
	valid, _                                                                uint32
}

// quotas keeps volumes to their size where the file system can.
type quotas struct {
	log *slog.Logger

	mu   sync.Mutex // guards what follows, and makes choosing a project and giving it one step
	told map[string]bool
}

func newQuotas(log *slog.Logger) *quotas { return &quotas{log: log, told: map[string]bool{}} }

// limit keeps dir, a volume in the storage directory at, to a size in bytes. Where the file system cannot, that is said
// once, and no error.
func (q *quotas) limit(at, dir *os.File, size int64) (enforced bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := enforces(at); err != nil {
		if !q.told[at.Name()] {
			q.log.Info("volumes are not kept to their size: the file system has no project quotas in force", "dir", at.Name(), "err", err)
		}
		q.told[at.Name()] = true
		return false, nil
	}
	now, err := attributesOf(dir)
	if err != nil {
		return false, fmt.Errorf("read the quota project of %s: %w", dir.Name(), err)
	}
	if !isOurs(now.project) {
		if now.project, err = freeProject(at); err != nil {
			return false, err
		}
	}
	// The limit comes first, so that there is no moment without one.
	if err := setLimit(at, now.project, uint64(max(size, 1)+quotaBlock-1)/quotaBlock); err != nil {
		return false, fmt.Errorf("limit %s to %s: %w", dir.Name(), human(size), err)
	}
	now.flags |= projectInherit
	if err := ioctl(dir, setAttributes, &now); err != nil {
		return false, fmt.Errorf("give %s a quota project: %w", dir.Name(), err)
	}
	return true, nil
}

// projectOf is the project of a volume, zero when it has none of ours.
func (q *quotas) projectOf(at, dir *os.File) uint32 {
	if enforces(at) != nil {
		return 0
	}
	if now, err := attributesOf(dir); err == nil && isOurs(now.project) {
		return now.project
	}
	return 0
}

// release takes the limit from a project that no volume has any more. One that stays harms nobody: the next volume of the
// project sets its own.
func (q *quotas) release(at *os.File, project uint32) {
	if project == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := setLimit(at, project, 0); err != nil {
		q.log.Debug("the limit of a volume that is gone could not be taken back", "project", project, "err", err)
	}
}

func isOurs(project uint32) bool { return project >= firstProject && project <= lastProject }

// freeProject is a project that no volume here has. What volumes have is on disk with them, so nothing has to be remembered.
func freeProject(at *os.File) (uint32, error) {
	// Opened again: at is shared with what else is read from it.
	root, err := openRoot(at.Name())
	if err != nil {
		return 0, err
	}
	defer root.Close()
	names, err := root.Readdirnames(-1)
	if err != nil {
		return 0, err
	}
	taken := map[uint32]bool{}
	for _, name := range names {
		if dir, err := openFolder(at, name); err == nil {
			if a, err := attributesOf(dir); err == nil {
				taken[a.project] = true
			}
			_ = dir.Close() // it was only read
		}
	}
	for id := uint32(firstProject); id <= lastProject; id++ {
		if !taken[id] {
			return id, nil
		}
	}
	return 0, errors.New("all quota projects are taken")
}

// enforces is nil when limits of projects are in force on the file system.
func enforces(at *os.File) error {
	var state [256]byte // struct fs_quota_stat, with room to grow
	if err := quotactl(at, quotaState, 0, unsafe.Pointer(&state)); err != nil {
		return err
	}
	if binary.NativeEndian.Uint16(state[2:])&projectEnforced == 0 {
		return errors.New("they are switched off")
	}
	return nil
}

func setLimit(at *os.File, project uint32, blocks uint64) error {
	return quotactl(at, quotaSet, project, unsafe.Pointer(&limits{hard: blocks, valid: blockLimits}))
}

// quotactl is quotactl_fd(2), which needs no name of the device.
func quotactl(at *os.File, command uint32, id uint32, argument unsafe.Pointer) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, at.Fd(), uintptr(command<<8|projectQuota), uintptr(id), uintptr(argument), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func attributesOf(dir *os.File) (a attributes, err error) {
	err = ioctl(dir, getAttributes, &a)
	return a, err
}

func ioctl(dir *os.File, request uintptr, a *attributes) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), request, uintptr(unsafe.Pointer(a))); errno != 0 {
		return errno
	}
	return nil
}
