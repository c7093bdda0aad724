// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <linux/dm-ioctl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "disk.h"
#include "pinseal_test.h"
#include "sysfile.h"

#define MAPPER_CONTROL	"/dev/mapper/control"
#define MAPPER_DEVICE	"/tmp/pinseal-mapper-%s"

bool disk_find(const char *type, char device[32])
{
	struct dirent *entry;
	char path[300], serial[32], wanted[32];
	bool found = false;
	DIR *dir = opendir("/sys/block");

	snprintf(wanted, sizeof(wanted), "pinseal-%s", type);
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/block/%s/serial", entry->d_name);
		found = !read_text(path, serial, sizeof(serial)) && !strcmp(serial, wanted);
		if (found)
			snprintf(device, 32, "/dev/%.20s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool disk_is_there(const char *type)
{
	char device[32];

	return disk_find(type, device) && !access(MAPPER_CONTROL, R_OK | W_OK);
}

struct mapper_target {
	struct dm_target_spec spec;
	char parameters[64];
};

struct mapper_call {
	struct dm_ioctl head;
	struct mapper_target targets[3];
};

/* One call for the mapped device of @d: 0, or -errno. */
static int mapper(const struct disk *d, unsigned long command, struct mapper_call *call)
{
	int fd = open(MAPPER_CONTROL, O_RDWR | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	call->head.version[0] = DM_VERSION_MAJOR;
	call->head.data_size = sizeof(*call);
	call->head.data_start = offsetof(struct mapper_call, targets);
	snprintf(call->head.name, sizeof(call->head.name), "%s", strrchr(d->mapped, '-') + 1);
	ret = sys(ioctl(fd, command, call));
	close(fd);
	return ret;
}

/* Adds a target: part of the disk, or errors. */
static void add_target(struct mapper_call *call, const char *device, uint64_t start, uint64_t sectors)
{
	struct mapper_target *t = &call->targets[call->head.target_count];

	if (!sectors)
		return;
	call->head.target_count++;
	t->spec.sector_start = start;
	t->spec.length = sectors;
	t->spec.next = sizeof(*t);
	strcpy(t->spec.target_type, device ? "linear" : "error");
	if (device)
		snprintf(t->parameters, sizeof(t->parameters), "%s %llu", device,
			 (unsigned long long)start);
}

int disk_stall(struct disk *d)
{
	/* What is under way is not waited for, and the file system is not asked for a clean state. */
	struct mapper_call call = {
		.head.flags = DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG | DM_NOFLUSH_FLAG,
	};

	return mapper(d, DM_DEV_SUSPEND, &call);
}

int disk_resume(struct disk *d)
{
	return mapper(d, DM_DEV_SUSPEND, &(struct mapper_call){});
}

static int sectors_of(const char *device, uint64_t *sectors)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	uint64_t bytes;
	int ret;

	if (fd < 0)
		return -errno;
	ret = sys(ioctl(fd, BLKGETSIZE64, &bytes));
	close(fd);
	*sectors = bytes / 512;
	return ret;
}

/* Has @count sectors from @bad on fail. */
static int map_disk(struct disk *d, uint64_t bad, uint64_t count)
{
	struct mapper_call call = {};
	uint64_t sectors = 0;
	int ret = sectors_of(d->device, &sectors);

	add_target(&call, d->device, 0, bad);
	add_target(&call, NULL, bad, count);
	add_target(&call, d->device, bad + count, sectors - bad - count);
	ret = ret ?: mapper(d, DM_TABLE_LOAD, &call);
	/* Resumes with the new table. */
	return ret ?: disk_stall(d) ?: disk_resume(d);
}

int disk_heal(struct disk *d)
{
	return map_disk(d, 0, 0);
}

int disk_fail_page(struct disk *d, int file, off_t at)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extent;
	} found = {
		.map = { .fm_start = at, .fm_length = page_size(), .fm_extent_count = 1 },
	};
	int ret = sys(ioctl(file, FS_IOC_FIEMAP, &found));

	if (ret || !found.map.fm_mapped_extents)
		return ret ?: -ENXIO;
	return map_disk(d, (found.extent.fe_physical + at - found.extent.fe_logical) / 512,
			page_size() / 512);
}

int disk_mount(struct disk *d, const char *type)
{
	struct mapper_call call = {};
	int ret;

	*d = (struct disk){};
	if (!disk_find(type, d->device))
		return -ENODEV;
	snprintf(d->mapped, sizeof(d->mapped), MAPPER_DEVICE, type);
	/* An earlier one may go later. */
	for (int i = 0; i < 200 && (ret = mapper(d, DM_DEV_CREATE, &call)) == -EBUSY; i++)
		sleep_ns(20 * NSEC_PER_MSEC);
	if (!ret)
		ret = disk_heal(d);
	if (!ret)
		ret = sys(mknod(d->mapped, S_IFBLK | 0600, call.head.dev));
	snprintf(d->dir, sizeof(d->dir), "/tmp/disk-%s-XXXXXX", type);
	if (!ret && !mkdtemp(d->dir))
		ret = -errno;
	if (!ret)
		ret = sys(mount(d->mapped, d->dir, type, 0, NULL));
	if (ret)
		disk_unmount(d);
	return ret;
}

void disk_unmount(struct disk *d)
{
	struct mapper_call call = {};

	/*
	 * The kernel closes files later than their owners end. What a failed test has open must not keep
	 * the disk from others.
	 */
	if (d->dir[0]) {
		for (int i = 0; i < 200 && sys(umount(d->dir)) == -EBUSY; i++)
			sleep_ns(20 * NSEC_PER_MSEC);
		umount2(d->dir, MNT_DETACH);
		rmdir(d->dir);
		d->dir[0] = '\0';
	}
	if (d->mapped[0]) {
		unlink(d->mapped);
		call.head.flags = DM_DEFERRED_REMOVE;
		mapper(d, DM_DEV_REMOVE, &call);
		d->mapped[0] = '\0';
	}
}
