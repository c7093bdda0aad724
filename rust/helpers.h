/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Wrappers of the kernel's inlines and macros, which Rust cannot call. Each is
 * one line of C: a function that needs an `if` is written in Rust.
 */
#ifndef PINSEAL_HELPERS_H
#define PINSEAL_HELPERS_H

#include <linux/anon_inodes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/shmem_fs.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

/* linux/shmem_fs.h */
struct file *pinseal_shmem_file_setup(const char *name, loff_t size);
unsigned int *pinseal_shmem_seals(struct inode *inode);
bool pinseal_shmem_file(struct file *file);

/* linux/magic.h */
static const unsigned long pinseal_BTRFS_SUPER_MAGIC = BTRFS_SUPER_MAGIC;
static const unsigned long pinseal_EXT4_SUPER_MAGIC = EXT4_SUPER_MAGIC;
static const unsigned long pinseal_HUGETLBFS_MAGIC = HUGETLBFS_MAGIC;
static const unsigned long pinseal_XFS_SUPER_MAGIC = XFS_SUPER_MAGIC;

/* linux/hugetlb.h */
bool pinseal_file_is_hugetlb(const struct file *file);
unsigned int *pinseal_hugetlb_seals(struct inode *inode);

/* linux/fs.h */
static const int pinseal_IOCB_DSYNC = (__force int)IOCB_DSYNC;
static const int pinseal_IOCB_NOWAIT = (__force int)IOCB_NOWAIT;
static const u32 pinseal_FALLOC_FL_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE;
static const u32 pinseal_FALLOC_FL_KEEP_SIZE = FALLOC_FL_KEEP_SIZE;
static const int pinseal_IOCB_APPEND = (__force int)IOCB_APPEND;
bool pinseal_file_read_asks_programs(const struct file *file);
void pinseal_file_set_seekable(struct file *file);
void pinseal_file_clear_atomic_pos(struct file *file);
bool pinseal_inode_is_on_kernel_mount(const struct inode *inode);
int pinseal_inode_trylock(struct inode *inode);
void pinseal_inode_unlock(struct inode *inode);
loff_t pinseal_i_size_read(const struct inode *inode);
int pinseal_mapping_map_writable(struct address_space *mapping);
void pinseal_mapping_unmap_writable(struct address_space *mapping);
int pinseal_mapping_deny_writable(struct address_space *mapping);
void pinseal_mapping_allow_writable(struct address_space *mapping);
int pinseal_mapping_mapped(const struct address_space *mapping);
int pinseal_vfs_mmap(struct file *file, struct vm_area_struct *vma);

/* linux/uaccess.h */
unsigned long pinseal_inline_copy_from_user(void *to, const void __user *from, unsigned long n);
unsigned long pinseal_inline_copy_to_user(void __user *to, const void *from, unsigned long n);

/* linux/module.h */
void pinseal_module_get(struct module *module);

/* linux/uio.h */
bool pinseal_is_splice_pipe(const struct pipe_inode_info *pipe);
bool pinseal_iov_iter_is_user(const struct iov_iter *iter);

/* linux/anon_inodes.h */
struct file *pinseal_anon_inode_getfile(const char *name, const struct file_operations *fops,
					void *priv, int flags);

/* linux/mm.h */
vm_flags_t pinseal_vma_desc_flags(const struct vm_area_desc *desc);
void pinseal_vma_desc_set_dontexpand(struct vm_area_desc *desc);
void pinseal_vma_desc_clear_mayexec(struct vm_area_desc *desc);
struct page *pinseal_folio_page(struct folio *folio, unsigned long n);
bool pinseal_page_is_poisoned(const struct page *page);
void pinseal_memcpy_from_page(char *to, struct page *page, size_t offset, size_t len);
void pinseal_memcpy_to_page(struct page *page, size_t offset, const char *from, size_t len);
struct user_struct *pinseal_get_current_user(void);
bool pinseal_user_try_set_locked(struct user_struct *user, long *old, long new);
void pinseal_user_sub_locked(struct user_struct *user, long pages);
void pinseal_mm_add_pinned(struct mm_struct *mm, long pages);
unsigned long pinseal_rlimit_memlock(void);
unsigned long pinseal_folio_nr_pages(const struct folio *folio);
int pinseal_folio_mapcount(const struct folio *folio);
int pinseal_folio_ref_count(const struct folio *folio);
bool pinseal_folio_has_pincount(const struct folio *folio);
unsigned int pinseal_folio_pincount(const struct folio *folio);

void pinseal_folio_put(struct folio *folio);

/* linux/folio_batch.h, formerly linux/pagevec.h */
void pinseal_folio_batch_init(struct folio_batch *batch);

/* linux/memcontrol.h, linux/sched/mm.h */
struct mem_cgroup *pinseal_get_current_mem_cgroup(void);
struct mem_cgroup *pinseal_folio_memcg(struct folio *folio);
struct mem_cgroup *pinseal_parent_mem_cgroup(struct mem_cgroup *memcg);
unsigned long pinseal_mem_cgroup_size(struct mem_cgroup *memcg);
unsigned long pinseal_mem_cgroup_max(struct mem_cgroup *memcg);
void pinseal_mem_cgroup_put(struct mem_cgroup *memcg);
struct mem_cgroup *pinseal_set_active_memcg(struct mem_cgroup *memcg);

/* linux/mmap_lock.h, linux/mmu_notifier.h, linux/hmm.h */
int pinseal_mmap_read_lock_killable(struct mm_struct *mm);
int pinseal_mmap_write_lock_killable(struct mm_struct *mm);
void pinseal_mmap_write_unlock(struct mm_struct *mm);
#ifdef CONFIG_HMM_MIRROR
void pinseal_mmu_interval_set_seq(struct mmu_interval_notifier *notifier, unsigned long seq);
bool pinseal_mmu_interval_read_retry(struct mmu_interval_notifier *notifier, unsigned long seq);
struct page *pinseal_hmm_pfn_to_page(unsigned long pfn);
#endif

/* linux/pagemap.h */
struct folio *pinseal_filemap_lock_folio(struct address_space *mapping, unsigned long index);
struct folio *pinseal_shmem_read_folio(struct address_space *mapping, unsigned long index);
struct folio *pinseal_folio_alloc_for(struct address_space *mapping);
bool pinseal_folio_mapped(const struct folio *folio);
bool pinseal_folio_is_busy(const struct folio *folio);
bool pinseal_folio_test_hwpoison(const struct folio *folio);
bool pinseal_folio_test_uptodate(const struct folio *folio);
void pinseal_folio_mark_uptodate(struct folio *folio);
void pinseal_folio_set_swapbacked(struct folio *folio);
void pinseal_folio_set_locked(struct folio *folio);
static const vm_flags_t pinseal_VM_MAYSHARE = VM_MAYSHARE;
bool pinseal_vma_is_mlocked(const struct vm_area_struct *vma);
bool pinseal_vma_is_mlocked_on_fault(const struct vm_area_struct *vma);
bool pinseal_vma_is_mseal_sealed(const struct vm_area_struct *vma);
void pinseal_vma_start_write(struct vm_area_struct *vma);
void pinseal_vma_mod_flags(struct vm_area_struct *vma, vm_flags_t set, vm_flags_t clear);
bool pinseal_vma_is_soft_dirty(const struct vm_area_struct *vma);
void pinseal_vma_set_page_prot(struct vm_area_struct *vma, vm_flags_t flags);
bool pinseal_userfaultfd_armed(struct vm_area_struct *vma);
bool pinseal_page_compound(const struct page *page);
bool pinseal_page_hwpoison(const struct page *page);
void pinseal_get_page(struct page *page);
void pinseal_put_page(struct page *page);
unsigned long pinseal_page_to_pfn(struct page *page);
void pinseal_flush_icache_page(const struct page *page);
void pinseal_mark_page_dirty(struct page *page);
int pinseal_shmem_get_folio(struct address_space *mapping, unsigned long index,
			    struct folio **folio);
int pinseal_shmem_get_folio_to_write(struct address_space *mapping, unsigned long index,
				     struct folio **folio);
int pinseal_shmem_get_folio_to_read(struct address_space *mapping, unsigned long index,
				    struct folio **folio);
struct folio *pinseal_page_folio(struct page *page);
size_t pinseal_iov_iter_count(const struct iov_iter *iter);
void pinseal_iov_iter_truncate(struct iov_iter *iter, u64 count);
void pinseal_iov_iter_reexpand(struct iov_iter *iter, size_t count);
int pinseal_folio_mkclean(struct folio *folio);
unsigned long pinseal_largest_folio(void);
void pinseal_filemap_set_wb_err(struct address_space *mapping, int err);
int pinseal_check_and_advance_wb_err(struct file *file, struct address_space *mapping);
void *pinseal_page_address(const struct page *page);
int pinseal_folio_expected_ref_count(const struct folio *folio);
void pinseal_smp_rmb(void);
struct page *pinseal_zero_page(void);
static const unsigned int pinseal_ITER_SOURCE = ITER_SOURCE;
static const unsigned int pinseal_ATTR_FORCE = ATTR_FORCE;
static const unsigned int pinseal_ATTR_KILL_PRIV = ATTR_KILL_PRIV;
static const unsigned int pinseal_ATTR_FTRUNCATE = ATTR_SIZE | ATTR_MTIME | ATTR_CTIME | ATTR_FILE;
struct mnt_idmap *pinseal_file_mnt_idmap(const struct file *file);
void pinseal_filemap_invalidate_lock_shared(struct address_space *mapping);
void pinseal_filemap_invalidate_unlock_shared(struct address_space *mapping);
struct folio *pinseal_filemap_get_folio(struct address_space *mapping, unsigned long index);
void pinseal_page_cache_sync_readahead(struct file *file, unsigned long index, unsigned long pages);
ssize_t pinseal_generic_write_sync(struct kiocb *iocb, ssize_t count);
int pinseal_mutex_lock_killable(struct mutex *lock);
struct page *pinseal_folio_file_page(struct folio *folio, unsigned long index);
pgprot_t pinseal_vm_get_page_prot(vm_flags_t flags);
void pinseal_i_mmap_lock_read(struct address_space *mapping);
void pinseal_i_mmap_unlock_read(struct address_space *mapping);
void pinseal_i_mmap_lock_write(struct address_space *mapping);
void pinseal_i_mmap_unlock_write(struct address_space *mapping);
void pinseal_rmap_tree_remove(struct vm_area_struct *vma, struct address_space *mapping);
void pinseal_rmap_tree_insert(struct vm_area_struct *vma, struct address_space *mapping);

/* linux/prefetch.h */
void pinseal_prefetch(const void *x);

/* linux/xarray.h */
void pinseal_xas_init(struct xa_state *xas, struct xarray *xa, unsigned long index);
void pinseal_xas_lock_irq(struct xa_state *xas);
void pinseal_xas_unlock_irq(struct xa_state *xas);

/* linux/pid_namespace.h */
int pinseal_memfd_noexec_scope(void);

/* linux/wait.h, linux/workqueue.h */
void pinseal_wait_queue_lock(struct wait_queue_head *head);
void pinseal_wait_queue_unlock(struct wait_queue_head *head);
bool pinseal_wait_queue_active(struct wait_queue_head *head);
struct workqueue_struct *pinseal_alloc_workqueue(const char *name, int max_active);

/* linux/cpumask.h, linux/cred.h, linux/sched.h */
const struct cred *pinseal_current_cred(void);
const struct cred *pinseal_override_creds(const struct cred *cred);
void pinseal_revert_creds(const struct cred *cred);
bool pinseal_cpu_online(unsigned int cpu);
void pinseal_migrate_disable(void);
void pinseal_migrate_enable(void);
void pinseal_cond_resched(void);
void pinseal_set_current_state_interruptible(void);
void pinseal_set_current_state_uninterruptible(void);
void pinseal_set_current_state_running(void);
unsigned int pinseal_current_uid(void);
u64 pinseal_current_run_time(void);
bool pinseal_task_sigpending(struct task_struct *task);
bool pinseal_fatal_signal_pending(struct task_struct *task);

/* trace/events/pinseal.h */
void pinseal_trace_seal_begin(u64 object, u32 seals, u32 flags, u64 timeout_ns);
void pinseal_trace_seal_scan(u64 object, u32 scans, u64 pinned_pages, u64 first_pinned);
void pinseal_trace_seal_mapped(u64 object, u32 scans);
void pinseal_trace_seal_end(u64 object, s32 outcome, u32 scans, u64 waited_ns, u64 isolated_pages,
			    u64 revoked_pages);
void pinseal_trace_isolate(u64 object, u64 pages);
void pinseal_trace_pin(u64 object, u64 start, u64 count, u32 flags, u64 grace_ns);
void pinseal_trace_pin_wait(u64 object, u64 index, u64 left_ns);
void pinseal_trace_unpin(u64 object, u64 start, u64 count, u64 held_ns);
void pinseal_trace_lease_asked(u64 object, u64 start, u64 count, u64 until_ns);
void pinseal_trace_lease_revoked(u64 object, u64 start, u64 count, u64 held_ns);

#endif /* PINSEAL_HELPERS_H */
