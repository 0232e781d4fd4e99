// SPDX-License-Identifier: GPL-2.0

//! The blocks of memory of an execution, and whether each is allocated.

use crate::lines;
use std::{
    alloc::Layout,
    collections::BTreeMap, //
};

struct Block {
    layout: Layout,
    live: bool,
    /// Whether the block is a leak if it is allocated at the end of the execution.
    counted: bool,
}

/// All blocks of an execution. A block that was freed is kept to the end, so that a use after free
/// is detected, and harmless.
#[derive(Default)]
pub(crate) struct Memory {
    blocks: BTreeMap<usize, Block>,
}

impl Memory {
    /// Allocates a block. With `reuse`, takes one that was freed, if there is one of this layout.
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
        let addr = unsafe { std::alloc::alloc_zeroed(lines::layout(layout)) } as usize;
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

    /// The start of the block that contains the address, and whether it is allocated.
    pub(crate) fn block_of(&self, addr: usize) -> Option<(usize, bool)> {
        let (&start, block) = self.blocks.range(..=addr).next_back()?;
        (addr - start < block.layout.size()).then_some((start, block.live))
    }

    /// The number of blocks that are leaked.
    pub(crate) fn leaked(&self) -> usize {
        let left = |block: &&Block| block.live && block.counted;
        self.blocks.values().filter(left).count()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (&addr, block) in &self.blocks {
            // SAFETY: The block was allocated with this layout. The execution is over, so it is not
            // used again.
            unsafe { std::alloc::dealloc(addr as *mut u8, lines::layout(block.layout)) };
        }
    }
}
