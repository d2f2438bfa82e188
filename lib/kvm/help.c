/* SPDX-License-Identifier: MIT */
/* What KVM's statistics count, in a line each: the kernel has names for them, but no words. Those of Linux up to 6.18, on
 * any machine, x86, arm64 and riscv. */
#include "lib/kvm/statistics.h"

#include <stddef.h>
#include <string.h>

struct line {
    const char *name;
    const char *help;
};

static const struct line of_vms[] = {
    /* any machine */
    { "remote_tlb_flush", "Times that the TLBs of all vCPUs were flushed" },
    { "remote_tlb_flush_requests", "Times that a flush of the TLBs of all vCPUs was asked for; one may serve several" },
    /* x86 */
    { "max_mmu_page_hash_collisions", "The most shadow pages passed over in one lookup of another one" },
    { "max_mmu_rmap_size", "The most mappings that one guest page ever had" },
    { "mmu_cache_miss", "Shadow pages that had to be made, as none fitted" },
    { "mmu_flooded", "Shadow pages given up because the guest wrote to their page table again and again" },
    { "mmu_kicks_spared", "Interruptions of running vCPUs that a change of their mappings could do without" },
    { "mmu_pde_zapped", "Large or upper mappings removed because the guest wrote to its page tables" },
    { "mmu_pte_write", "Guest writes to page tables that are shadowed" },
    { "mmu_recycled", "Shadow pages given up to make room for others" },
    { "mmu_shadow_zapped", "Shadow pages given up, whatever the reason" },
    { "mmu_unsync", "Shadow pages that may lag behind the guest's page tables now" },
    { "nx_lpage_splits", "Large pages kept split now because the guest runs code in them" },
    { "pages_1g", "Mappings of 1 GiB in use now" },
    { "pages_2m", "Mappings of 2 MiB in use now" },
    { "pages_4k", "Mappings of 4 KiB in use now" },
    /* x86, older kernels */
    { "largepages", "Large mappings in use now" },
    { "lpages", "Large mappings in use now" },
    { "mmu_unsync_global", "Global shadow pages that may lag behind the guest's page tables now" },
};

static const struct line of_vcpus[] = {
    /* any machine */
    { "blocking", "1 while the vCPU has halted and its thread sleeps or is about to" },
    { "halt_attempted_poll", "Halts at which the host waited busily for a while before it would sleep" },
    { "halt_poll_fail_hist", "Times waited busily at halts in vain, before going to sleep" },
    { "halt_poll_fail_ns", "Time waited busily at halts in vain, before going to sleep" },
    { "halt_poll_invalid", "Busy waits at halts that ended although nothing had come for the vCPU" },
    { "halt_poll_success_hist", "Times waited busily at halts until an event came" },
    { "halt_poll_success_ns", "Time waited busily at halts until an event came" },
    { "halt_successful_poll", "Busy waits at halts that an event ended before the host would sleep" },
    { "halt_wait_hist", "Times asleep in a halt, until something woke the vCPU" },
    { "halt_wait_ns", "Time asleep in halts" },
    { "halt_wakeup", "Times that something woke the vCPU from a halt" },
    { "exits", "Times that the guest was left, whatever the reason" },
    { "signal_exits", "Returns to the VMM because a signal was pending" },
    /* x86 */
    { "directed_yield_attempted", "Times that the guest asked to have the CPU given to another of its vCPUs" },
    { "directed_yield_successful", "Times that the CPU was given to another vCPU because the guest asked for it" },
    { "fpu_reload", "Times that the guest's floating-point state was loaded" },
    { "guest_mode", "1 while the vCPU runs a nested guest" },
    { "halt_exits", "Exits because the guest halted" },
    { "host_state_reload", "Times that the host's segments and registers were restored after the guest ran" },
    { "hypercalls", "Calls of the guest to the hypervisor" },
    { "insn_emulation", "Instructions emulated" },
    { "insn_emulation_fail", "Instructions that the emulator could not handle" },
    { "invlpg", "Invalidations of single TLB entries that the guest did and KVM carried out" },
    { "io_exits", "Exits for port I/O, whoever handles it" },
    { "irq_exits", "Exits because the host was interrupted" },
    { "irq_injections", "Interrupts delivered to the guest" },
    { "irq_window_exits", "Exits because the guest can take interrupts again" },
    { "l1d_flush", "Flushes of the L1 data cache before the guest ran" },
    { "mmio_exits", "Exits for memory-mapped I/O that the VMM handles" },
    { "nested_run", "Times that a nested guest was entered" },
    { "nmi_injections", "Non-maskable interrupts delivered to the guest" },
    { "nmi_window_exits", "Exits because the guest can take non-maskable interrupts again" },
    { "notify_window_exits", "Exits because the guest let no event through for too long" },
    { "pf_emulate", "Page faults answered by emulating the instruction" },
    { "pf_fast", "Page faults on write protection or access tracking that were fixed without the MMU's lock" },
    { "pf_fixed", "Page faults fixed by mapping the page" },
    { "pf_guest", "Page faults that were the guest's own, and passed on to it" },
    { "pf_mmio_spte_created", "Page faults that noted an address as one of memory-mapped I/O" },
    { "pf_park_timeouts", "Page faults that were parked, and went on because the time was up" },
    { "pf_parked", "Page faults that were parked until another one on the same page was done" },
    { "pf_spurious", "Page faults on pages that were mapped by the time they were looked at" },
    { "pf_taken", "Page faults that came to KVM" },
    { "preemption_other",
      "Times that the vCPU's thread lost the CPU in the middle of an exit, of which the guest is not told" },
    { "preemption_reported", "Times that the vCPU's thread lost the CPU, and the guest was told" },
    { "req_event", "Times that KVM looked for events to deliver to the guest" },
    { "request_irq_exits", "Returns to the VMM because it wanted to inject an interrupt" },
    { "tlb_flush", "Flushes of the TLB by or for the guest" },
    /* arm64, riscv */
    { "mmio_exit_kernel", "Exits for memory-mapped I/O that the kernel handled" },
    { "mmio_exit_user", "Exits for memory-mapped I/O that the VMM handles" },
    { "wfi_exit_stat", "Exits because the guest waits for an interrupt" },
    /* arm64 */
    { "hvc_exit_stat", "Calls of the guest to the hypervisor" },
    { "wfe_exit_stat", "Exits because the guest waits for an event" },
    /* riscv */
    { "csr_exit_kernel", "Exits for control and status registers that the kernel handled" },
    { "csr_exit_user", "Exits for control and status registers that the VMM handles" },
    { "ecall_exit_stat", "Calls of the guest to the hypervisor" },
    { "instr_illegal_exits", "Exits because of an illegal instruction" },
    { "load_access_exits", "Exits because of a load that was not permitted" },
    { "load_misaligned_exits", "Exits because of a load that was not aligned" },
    { "store_access_exits", "Exits because of a store that was not permitted" },
    { "store_misaligned_exits", "Exits because of a store that was not aligned" },
    { "wrs_exit_stat", "Exits because the guest waits for a reservation to be lost" },
};

static const char *find(const struct line *lines, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(lines[i].name, name) == 0)
            return lines[i].help;
    }
    return NULL;
}

#define FIND(lines, name) find((lines), sizeof(lines) / sizeof((lines)[0]), (name))

const char *kvm_help(const char *name)
{
    const char *help = FIND(of_vcpus, name);

    if (!help)
        help = FIND(of_vms, name);
    return help ? help : "";
}

int kvm_is_of_vcpu(const char *name) { return FIND(of_vcpus, name) != NULL; }
