// SPDX-License-Identifier: GPL-2.0

//! Memory that knows what is allocated, and who may still look at it.

use std::{
    alloc::Layout,
    collections::BTreeMap, //
};

struct Block {
    layout: Layout,
    live: bool,
    /// What is left of it at the end of an execution is a leak.
    counted: bool,
}

/// The blocks of an execution. What is freed is kept to the end of it, so that a use after free
/// is seen and does no harm.
#[derive(Default)]
pub(crate) struct Memory {
    blocks: BTreeMap<usize, Block>,
}

impl Memory {
    /// Allocates a block; `reuse` takes one that was freed, if there is one.
    pub(crate) fn alloc(&mut self, layout: Layout, counted: bool, reuse: bool) -> usize {
        if reuse {
            let old = self
                .blocks
                .iter_mut()
                .find(|(_, block)| !block.live && block.layout == layout);
            if let Some((&addr, block)) = old {
                block.live = true;
                block.counted = counted;
                return addr;
            }
        }
        assert!(layout.size() != 0);
        // SAFETY: The size is not 0.
        let addr = unsafe { std::alloc::alloc_zeroed(layout) } as usize;
        assert!(addr != 0, "the host has no memory");
        let block = Block {
            layout,
            live: true,
            counted,
        };
        self.blocks.insert(addr, block);
        addr
    }

    /// Frees a block and returns its size.
    pub(crate) fn free(&mut self, addr: usize) -> Result<usize, String> {
        match self.blocks.get_mut(&addr) {
            None => Err(format!("free of {addr:#x}, which was never allocated")),
            Some(block) if !block.live => Err(format!("double free of {addr:#x}")),
            Some(block) => {
                block.live = false;
                Ok(block.layout.size())
            }
        }
    }

    /// The beginning of the block that has the address in it, and whether it is allocated.
    pub(crate) fn block_of(&self, addr: usize) -> Option<(usize, bool)> {
        let (&start, block) = self.blocks.range(..=addr).next_back()?;
        (addr - start < block.layout.size()).then_some((start, block.live))
    }

    /// How many blocks are left that should not be.
    pub(crate) fn leaked(&self) -> usize {
        let left = |block: &&Block| block.live && block.counted;
        self.blocks.values().filter(left).count()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (&addr, block) in &self.blocks {
            // SAFETY: Allocated with this layout, and the execution is over.
            unsafe { std::alloc::dealloc(addr as *mut u8, block.layout) };
        }
    }
}
