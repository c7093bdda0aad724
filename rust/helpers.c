// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wrappers of the kernel's inlines and macros; see helpers.h.
 */

#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/errseq.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/interval_tree_generic.h>
#include <linux/memcontrol.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/pid_namespace.h>
#include <linux/prefetch.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/userfaultfd_k.h>

#include "helpers.h"

struct file *pinseal_shmem_file_setup(const char *name, loff_t size)
{
	return shmem_file_setup(name, size, mk_vma_flags(VMA_NORESERVE_BIT));
}

unsigned int *pinseal_shmem_seals(struct inode *inode)
{
	return &SHMEM_I(inode)->seals;
}

bool pinseal_shmem_file(struct file *file)
{
	return shmem_file(file);
}

bool pinseal_file_is_hugetlb(const struct file *file)
{
	return is_file_hugepages(file);
}

#ifdef CONFIG_HUGETLBFS
unsigned int *pinseal_hugetlb_seals(struct inode *inode)
{
	return &HUGETLBFS_I(inode)->seals;
}
#else
unsigned int *pinseal_hugetlb_seals(struct inode *inode)
{
	return NULL;
}
#endif

unsigned long pinseal_inline_copy_from_user(void *to, const void __user *from, unsigned long n)
{
	return _inline_copy_from_user(to, from, n);
}

unsigned long pinseal_inline_copy_to_user(void __user *to, const void *from, unsigned long n)
{
	return _inline_copy_to_user(to, from, n);
}

bool pinseal_file_read_asks_programs(const struct file *file)
{
	return FMODE_FSNOTIFY_HSM(file->f_mode);
}

void pinseal_file_set_seekable(struct file *file)
{
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
}

void pinseal_file_clear_atomic_pos(struct file *file)
{
	file->f_mode &= ~FMODE_ATOMIC_POS;
}

bool pinseal_inode_is_on_kernel_mount(const struct inode *inode)
{
	return inode->i_sb->s_flags & SB_KERNMOUNT;
}

int pinseal_inode_trylock(struct inode *inode)
{
	return inode_trylock(inode);
}

void pinseal_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

loff_t pinseal_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

int pinseal_mapping_map_writable(struct address_space *mapping)
{
	return mapping_map_writable(mapping);
}

void pinseal_mapping_unmap_writable(struct address_space *mapping)
{
	mapping_unmap_writable(mapping);
}

int pinseal_mapping_deny_writable(struct address_space *mapping)
{
	return mapping_deny_writable(mapping);
}

void pinseal_mapping_allow_writable(struct address_space *mapping)
{
	mapping_allow_writable(mapping);
}

int pinseal_mapping_mapped(const struct address_space *mapping)
{
	return mapping_mapped(mapping);
}

int pinseal_vfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	return vfs_mmap(file, vma);
}

void pinseal_module_get(struct module *module)
{
	__module_get(module);
}

bool pinseal_is_splice_pipe(const struct pipe_inode_info *pipe)
{
	return current->splice_pipe == pipe;
}

bool pinseal_iov_iter_is_user(const struct iov_iter *iter)
{
	return user_backed_iter(iter);
}

vm_flags_t pinseal_vma_desc_flags(const struct vm_area_desc *desc)
{
	return vma_flags_to_legacy(desc->vma_flags);
}

void pinseal_vma_desc_set_dontexpand(struct vm_area_desc *desc)
{
	vma_desc_set_flags(desc, VMA_DONTEXPAND_BIT);
}

void pinseal_vma_desc_clear_mayexec(struct vm_area_desc *desc)
{
	vma_desc_clear_flags(desc, VMA_MAYEXEC_BIT);
}

unsigned long pinseal_folio_nr_pages(const struct folio *folio)
{
	return folio_nr_pages(folio);
}

int pinseal_folio_mapcount(const struct folio *folio)
{
	return folio_mapcount(folio);
}

int pinseal_folio_ref_count(const struct folio *folio)
{
	return folio_ref_count(folio);
}

bool pinseal_folio_has_pincount(const struct folio *folio)
{
	return folio_has_pincount(folio);
}

unsigned int pinseal_folio_pincount(const struct folio *folio)
{
	return atomic_read(&folio->_pincount);
}

void pinseal_folio_batch_init(struct folio_batch *batch)
{
	folio_batch_init(batch);
}

void pinseal_folio_put(struct folio *folio)
{
	folio_put(folio);
}

struct mem_cgroup *pinseal_get_current_mem_cgroup(void)
{
	return get_mem_cgroup_from_mm(current->mm);
}

struct mem_cgroup *pinseal_folio_memcg(struct folio *folio)
{
	return folio_memcg(folio);
}

struct mem_cgroup *pinseal_parent_mem_cgroup(struct mem_cgroup *memcg)
{
	return parent_mem_cgroup(memcg);
}

#ifdef CONFIG_MEMCG
unsigned long pinseal_mem_cgroup_size(struct mem_cgroup *memcg)
{
	return page_counter_read(&memcg->memory);
}

unsigned long pinseal_mem_cgroup_max(struct mem_cgroup *memcg)
{
	return READ_ONCE(memcg->memory.max);
}
#else
unsigned long pinseal_mem_cgroup_size(struct mem_cgroup *memcg)
{
	return 0;
}

unsigned long pinseal_mem_cgroup_max(struct mem_cgroup *memcg)
{
	return ULONG_MAX;
}
#endif

void pinseal_mem_cgroup_put(struct mem_cgroup *memcg)
{
	mem_cgroup_put(memcg);
}

struct mem_cgroup *pinseal_set_active_memcg(struct mem_cgroup *memcg)
{
	return set_active_memcg(memcg);
}

int pinseal_mmap_read_lock_killable(struct mm_struct *mm)
{
	return mmap_read_lock_killable(mm);
}

int pinseal_mmap_write_lock_killable(struct mm_struct *mm)
{
	return mmap_write_lock_killable(mm);
}

void pinseal_mmap_write_unlock(struct mm_struct *mm)
{
	mmap_write_unlock(mm);
}

#ifdef CONFIG_HMM_MIRROR
void pinseal_mmu_interval_set_seq(struct mmu_interval_notifier *notifier, unsigned long seq)
{
	mmu_interval_set_seq(notifier, seq);
}

bool pinseal_mmu_interval_read_retry(struct mmu_interval_notifier *notifier, unsigned long seq)
{
	return mmu_interval_read_retry(notifier, seq);
}

struct page *pinseal_hmm_pfn_to_page(unsigned long pfn)
{
	return hmm_pfn_to_page(pfn);
}
#endif

struct folio *pinseal_filemap_lock_folio(struct address_space *mapping, unsigned long index)
{
	return filemap_lock_folio(mapping, index);
}

struct folio *pinseal_shmem_read_folio(struct address_space *mapping, unsigned long index)
{
	return shmem_read_folio_gfp(mapping, index, mapping_gfp_mask(mapping) |
				    __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
}

struct folio *pinseal_folio_alloc_for(struct address_space *mapping)
{
	return folio_alloc(mapping_gfp_mask(mapping) | __GFP_ZERO | __GFP_NOWARN, 0);
}

bool pinseal_folio_mapped(const struct folio *folio)
{
	return folio_mapped(folio);
}

bool pinseal_folio_is_busy(const struct folio *folio)
{
	return folio_mapped(folio) || folio_test_swapcache(folio) ||
	       folio_test_private(folio) || folio_test_hwpoison(folio);
}

bool pinseal_folio_test_hwpoison(const struct folio *folio)
{
	return folio_test_hwpoison(folio);
}

bool pinseal_folio_test_uptodate(const struct folio *folio)
{
	return folio_test_uptodate(folio);
}

void pinseal_folio_mark_uptodate(struct folio *folio)
{
	folio_mark_uptodate(folio);
}

void pinseal_folio_set_swapbacked(struct folio *folio)
{
	__folio_set_swapbacked(folio);
}

void pinseal_folio_set_locked(struct folio *folio)
{
	__folio_set_locked(folio);
}

bool pinseal_vma_is_mlocked(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_LOCKED;
}

bool pinseal_vma_is_mlocked_on_fault(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_LOCKONFAULT;
}

bool pinseal_vma_is_mseal_sealed(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_SEALED;
}

void pinseal_vma_start_write(struct vm_area_struct *vma)
{
	vma_start_write(vma);
}

void pinseal_vma_mod_flags(struct vm_area_struct *vma, vm_flags_t set, vm_flags_t clear)
{
	vm_flags_mod(vma, set, clear);
}

bool pinseal_vma_is_soft_dirty(const struct vm_area_struct *vma)
{
	return !VM_SOFTDIRTY || vma->vm_flags & VM_SOFTDIRTY;
}

void pinseal_vma_set_page_prot(struct vm_area_struct *vma, vm_flags_t flags)
{
	WRITE_ONCE(vma->vm_page_prot, vm_get_page_prot(flags));
}

bool pinseal_page_compound(const struct page *page)
{
	return PageCompound(page);
}

bool pinseal_page_hwpoison(const struct page *page)
{
	return PageHWPoison(page);
}

void pinseal_get_page(struct page *page)
{
	get_page(page);
}

void pinseal_put_page(struct page *page)
{
	put_page(page);
}

unsigned long pinseal_page_to_pfn(struct page *page)
{
	return page_to_pfn(page);
}

void pinseal_flush_icache_page(const struct page *page)
{
	flush_icache_range((unsigned long)page_address(page),
			   (unsigned long)page_address(page) + PAGE_SIZE);
}

void pinseal_mark_page_dirty(struct page *page)
{
	folio_mark_dirty(page_folio(page));
}

int pinseal_shmem_get_folio(struct address_space *mapping, unsigned long index,
			    struct folio **folio)
{
	return shmem_get_folio(mapping->host, index, 0, folio, SGP_CACHE);
}

int pinseal_shmem_get_folio_to_write(struct address_space *mapping, unsigned long index,
				     struct folio **folio)
{
	return shmem_get_folio(mapping->host, index, 0, folio, SGP_WRITE);
}

int pinseal_shmem_get_folio_to_read(struct address_space *mapping, unsigned long index,
				    struct folio **folio)
{
	return shmem_get_folio(mapping->host, index, 0, folio, SGP_READ);
}

struct folio *pinseal_page_folio(struct page *page)
{
	return page_folio(page);
}

size_t pinseal_iov_iter_count(const struct iov_iter *iter)
{
	return iov_iter_count(iter);
}

void pinseal_iov_iter_truncate(struct iov_iter *iter, u64 count)
{
	iov_iter_truncate(iter, count);
}

void pinseal_iov_iter_reexpand(struct iov_iter *iter, size_t count)
{
	iov_iter_reexpand(iter, count);
}

int pinseal_folio_mkclean(struct folio *folio)
{
	return folio_mkclean(folio);
}

unsigned long pinseal_largest_folio(void)
{
	return 1UL << MAX_PAGECACHE_ORDER;
}

void pinseal_filemap_set_wb_err(struct address_space *mapping, int err)
{
	filemap_set_wb_err(mapping, err);
}

int pinseal_check_and_advance_wb_err(struct file *file, struct address_space *mapping)
{
	guard(spinlock)(&file->f_lock);
	return errseq_check_and_advance(&mapping->wb_err, &file->f_wb_err);
}

void *pinseal_page_address(const struct page *page)
{
	return page_address(page);
}

int pinseal_folio_expected_ref_count(const struct folio *folio)
{
	return folio_expected_ref_count(folio);
}

void pinseal_smp_rmb(void)
{
	/* The caller says what is paired. */
	smp_rmb();
}

struct page *pinseal_zero_page(void)
{
	return ZERO_PAGE(0);
}

struct mnt_idmap *pinseal_file_mnt_idmap(const struct file *file)
{
	return file_mnt_idmap(file);
}

void pinseal_filemap_invalidate_lock_shared(struct address_space *mapping)
{
	filemap_invalidate_lock_shared(mapping);
}

void pinseal_filemap_invalidate_unlock_shared(struct address_space *mapping)
{
	filemap_invalidate_unlock_shared(mapping);
}

struct folio *pinseal_filemap_get_folio(struct address_space *mapping, unsigned long index)
{
	return filemap_get_folio(mapping, index);
}

void pinseal_page_cache_sync_readahead(struct file *file, unsigned long index, unsigned long pages)
{
	page_cache_sync_readahead(file->f_mapping, &file->f_ra, file, index, pages);
}

ssize_t pinseal_generic_write_sync(struct kiocb *iocb, ssize_t count)
{
	return generic_write_sync(iocb, count);
}

int pinseal_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
}

struct page *pinseal_folio_file_page(struct folio *folio, unsigned long index)
{
	return folio_file_page(folio, index);
}

pgprot_t pinseal_vm_get_page_prot(vm_flags_t flags)
{
	return vm_get_page_prot(flags);
}

bool pinseal_userfaultfd_armed(struct vm_area_struct *vma)
{
	return userfaultfd_armed(vma);
}

void pinseal_i_mmap_lock_read(struct address_space *mapping)
{
	i_mmap_lock_read(mapping);
}

void pinseal_i_mmap_unlock_read(struct address_space *mapping)
{
	i_mmap_unlock_read(mapping);
}

void pinseal_i_mmap_lock_write(struct address_space *mapping)
{
	i_mmap_lock_write(mapping);
}

void pinseal_i_mmap_unlock_write(struct address_space *mapping)
{
	i_mmap_unlock_write(mapping);
}

/* The tree of address_space::i_mmap, as in mm/interval_tree.c. */
#define VMA_FIRST(vma) ((vma)->vm_pgoff)
#define VMA_LAST(vma) ((vma)->vm_pgoff + vma_pages(vma) - 1)
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long, shared.rb_subtree_last,
		     VMA_FIRST, VMA_LAST, static inline, rmap_tree)

void pinseal_rmap_tree_remove(struct vm_area_struct *vma, struct address_space *mapping)
{
	rmap_tree_remove(vma, &mapping->i_mmap);
}

void pinseal_rmap_tree_insert(struct vm_area_struct *vma, struct address_space *mapping)
{
	rmap_tree_insert(vma, &mapping->i_mmap);
}

void pinseal_prefetch(const void *x)
{
	prefetch(x);
}

void pinseal_xas_init(struct xa_state *xas, struct xarray *xa, unsigned long index)
{
	*xas = (struct xa_state)__XA_STATE(xa, index, 0, 0);
}

void pinseal_xas_lock_irq(struct xa_state *xas)
{
	xas_lock_irq(xas);
}

void pinseal_xas_unlock_irq(struct xa_state *xas)
{
	xas_unlock_irq(xas);
}

const struct cred *pinseal_current_cred(void)
{
	return current_cred();
}

const struct cred *pinseal_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

void pinseal_revert_creds(const struct cred *cred)
{
	revert_creds(cred);
}

int pinseal_memfd_noexec_scope(void)
{
	return pidns_memfd_noexec_scope(task_active_pid_ns(current));
}

bool pinseal_cpu_online(unsigned int cpu)
{
	return cpu_online(cpu);
}

void pinseal_migrate_disable(void)
{
	migrate_disable();
}

void pinseal_migrate_enable(void)
{
	migrate_enable();
}

void pinseal_cond_resched(void)
{
	cond_resched();
}

void pinseal_set_current_state_interruptible(void)
{
	set_current_state(TASK_INTERRUPTIBLE);
}

void pinseal_set_current_state_uninterruptible(void)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
}

void pinseal_set_current_state_running(void)
{
	__set_current_state(TASK_RUNNING);
}

unsigned int pinseal_current_uid(void)
{
	return __kuid_val(current_uid());
}

u64 pinseal_current_run_time(void)
{
	return READ_ONCE(current->se.sum_exec_runtime);
}

bool pinseal_task_sigpending(struct task_struct *task)
{
	return task_sigpending(task);
}

bool pinseal_fatal_signal_pending(struct task_struct *task)
{
	return fatal_signal_pending(task);
}

void pinseal_wait_queue_lock(struct wait_queue_head *head)
{
	spin_lock_irq(&head->lock);
}

void pinseal_wait_queue_unlock(struct wait_queue_head *head)
{
	spin_unlock_irq(&head->lock);
}

bool pinseal_wait_queue_active(struct wait_queue_head *head)
{
	/* The caller says why no waiter is missed. */
	return waitqueue_active(head);
}

struct workqueue_struct *pinseal_alloc_workqueue(const char *name, int max_active)
{
	return alloc_workqueue("%s", WQ_UNBOUND | WQ_FREEZABLE, max_active, name);
}

struct file *pinseal_anon_inode_getfile(const char *name, const struct file_operations *fops,
					void *priv, int flags)
{
	return anon_inode_getfile_fmode(name, fops, priv, flags, FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE);
}

struct page *pinseal_folio_page(struct folio *folio, unsigned long n)
{
	return folio_page(folio, n);
}

bool pinseal_page_is_poisoned(const struct page *page)
{
	return PageHWPoison(page);
}

void pinseal_memcpy_from_page(char *to, struct page *page, size_t offset, size_t len)
{
	/* Shared memory: programs may access the page meanwhile. */
	data_race((memcpy_from_page(to, page, offset, len), 0));
}

void pinseal_memcpy_to_page(struct page *page, size_t offset, const char *from, size_t len)
{
	/* The same. */
	data_race((memcpy_to_page(page, offset, from, len), 0));
}

struct user_struct *pinseal_get_current_user(void)
{
	return get_uid(current_user());
}

bool pinseal_user_try_set_locked(struct user_struct *user, long *old, long new)
{
	return atomic_long_try_cmpxchg(&user->locked_vm, old, new);
}

void pinseal_user_sub_locked(struct user_struct *user, long pages)
{
	atomic_long_sub(pages, &user->locked_vm);
}

void pinseal_mm_add_pinned(struct mm_struct *mm, long pages)
{
	atomic64_add(pages, &mm->pinned_vm);
}

unsigned long pinseal_rlimit_memlock(void)
{
	return rlimit(RLIMIT_MEMLOCK);
}
