// SPDX-License-Identifier: GPL-2.0

//! The state of an execution.

use crate::{
    engine::{
        Engine,
        Handle,
        Thread,
        ThreadId,
        Word, //
    },
    interrupt::Coming,
    lines::Accesses,
    lock::Locks,
    memory::Memory,
    plain::{
        self,
        Place, //
    },
    rcu::Rcu,
    work::{
        self,
        Works, //
    }, //
};
use loom::cell::UnsafeCell;
use std::{
    alloc::Layout,
    cell::{
        Cell,
        RefCell, //
    },
    collections::{
        BTreeMap,
        HashMap,
        HashSet, //
    },
    fmt,
    rc::Rc,
    thread::panicking, //
};

/// The setup of an execution.
#[derive(Copy, Clone)]
pub struct Setup {
    /// The engine that schedules.
    pub engine: Engine,
    /// The number of kworkers. If there is none, a thread that waits for a work runs it.
    pub kworkers: usize,
}

/// A word that is in use.
pub(crate) struct Slot {
    /// Its number among the words of the execution.
    pub(crate) turn: Cell<usize>,
    /// The CPUs that have loaded it since a CPU last changed it, as bits.
    pub(crate) readers: Cell<u32>,
    pub(crate) word: Word,
    /// The value that it was last set to. A thread that panics reads this one, since the engines
    /// must not switch threads any more.
    pub(crate) last: Cell<u64>,
}

impl Slot {
    fn new(engine: Engine) -> Rc<Self> {
        Rc::new(Self {
            turn: Cell::new(0),
            readers: Cell::new(0),
            word: Word::new(engine),
            last: Cell::new(0),
        })
    }
}

/// A CPU: a thread of the execution.
pub(crate) struct Cpu {
    /// The blocks that the running read section has loaded pointers to.
    pub(crate) loaded: HashSet<usize>,
    /// The number of nested read sections, and the number of the outermost one among those of all
    /// CPUs.
    pub(crate) nesting: u32,
    pub(crate) section: u64,
    /// The words that tell loom of this CPU's loads and read sections, see [`crate::word`].
    pub(crate) loads: Vec<Rc<Slot>>,
    pub(crate) enter: Rc<Slot>,
    /// The number of read sections that have ended.
    pub(crate) exits: u64,
    pub(crate) exit: Rc<Slot>,
    /// How many grace periods had begun when this CPU last entered a read section; and, by CPU, how
    /// many read sections had ended when this CPU last waited for a grace period.
    pub(crate) seen_starts: u64,
    pub(crate) seen_exits: BTreeMap<usize, u64>,
    /// The locks that this CPU holds, and the one that it waits for.
    pub(crate) holds: Vec<usize>,
    pub(crate) wants: Option<usize>,
    /// How often interrupts were turned off and not on again.
    pub(crate) irqs_off: u32,
    /// The number of nested interrupt handlers.
    pub(crate) handlers: u32,
}

type Condition = Box<dyn Fn(&World) -> bool>;

/// The state of the machine.
pub struct World {
    pub(crate) setup: Setup,
    pub(crate) memory: Memory,
    pub(crate) slots: BTreeMap<usize, Rc<Slot>>,
    /// What loom tracks for plain cells and for blocks, by address.
    cells: BTreeMap<usize, Place>,
    blocks: BTreeMap<usize, Place>,
    /// Words and places that have no address yet. They are made while there is one thread: loom
    /// demands that the making of a word comes before all its uses.
    reserve: Vec<Rc<Slot>>,
    reserve_places: Vec<Place>,
    pub(crate) cpus: Vec<Cpu>,
    ids: HashMap<ThreadId, usize>,
    pub(crate) rcu: Rcu,
    pub(crate) locks: Locks,
    pub(crate) works: Works,
    /// The interrupts that are to come.
    pub(crate) coming: Vec<Coming>,
    /// The number of steps of all CPUs.
    pub(crate) steps: u64,
    /// The accesses so far, while they are recorded.
    pub(crate) accesses: Option<Accesses>,
    /// The threads that wait, and their conditions, by CPU.
    waiters: BTreeMap<usize, (Thread, Condition)>,
    pauses: u32,
    warnings: u32,
    /// Whether no other thread was started yet.
    pub(crate) alone: bool,
    turns: usize,
}

/// The number of words and places in reserve, for first uses by several threads. More than any
/// model here needs.
const RESERVE: usize = 96;
const RESERVE_PLACES: usize = 96;

/// The number of words for the loads of one CPU. The words of all addresses share them.
const LOADS: usize = 16;

/// The number of pauses after which an execution is taken to hang.
const PAUSES_MAX: u32 = 1000;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Reads or changes the state. No other thread runs meanwhile.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|world| f(world.borrow_mut().as_mut().expect("no execution runs")))
}

/// Begins an execution. The calling thread is its first CPU.
pub fn begin(setup: Setup) {
    let world = World {
        setup,
        memory: Memory::default(),
        slots: BTreeMap::new(),
        reserve: (0..RESERVE).map(|_| Slot::new(setup.engine)).collect(),
        cells: BTreeMap::new(),
        blocks: BTreeMap::new(),
        reserve_places: match setup.engine {
            Engine::Loom => (0..RESERVE_PLACES).map(|_| new_place()).collect(),
            Engine::Shuttle => Vec::new(),
        },
        cpus: Vec::new(),
        ids: HashMap::new(),
        rcu: Rcu::new(Slot::new(setup.engine)),
        locks: Locks::default(),
        works: Works::default(),
        coming: Vec::new(),
        steps: 0,
        accesses: None,
        waiters: BTreeMap::new(),
        pauses: 0,
        warnings: 0,
        alone: true,
        turns: 0,
    };
    WORLD.with(|slot| *slot.borrow_mut() = Some(world));
    with(|w| (0..5).for_each(|_| w.add_cpu()));
    cpu();
}

/// Ends an execution, checks that nothing is left, and returns the number of its steps.
pub fn end() -> u64 {
    let leaked = with(|w| {
        assert!(w.locks.all_free(), "a lock is held at the end");
        assert!(w.cpus.iter().all(|cpu| cpu.nesting == 0));
        w.memory.leaked()
    });
    assert!(leaked == 0, "{leaked} blocks of memory are leaked");
    let world = WORLD.with(|slot| slot.borrow_mut().take());
    world.map_or(0, |world| world.steps)
}

/// The engine that schedules this execution.
pub fn engine() -> Engine {
    with(|w| w.setup.engine)
}

/// The number of steps of all CPUs so far.
pub fn steps() -> u64 {
    with(|w| w.steps)
}

/// The number of this CPU.
pub fn cpu() -> usize {
    with(World::cpu)
}

/// Starts a thread. Starts the kworkers before the first thread.
pub fn spawn(f: impl FnOnce() + Send + 'static) -> Handle {
    with(|w| w.alone = false);
    work::start();
    engine().spawn(|| {
        cpu();
        f();
    })
}

/// Prints a warning, and counts it.
pub fn warn(text: fmt::Arguments<'_>) {
    eprint!("{text}");
    with(|w| w.warnings += 1);
}

/// The number of warnings in this execution.
pub fn warnings() -> u32 {
    with(|w| w.warnings)
}

/// The number of pauses in this execution.
pub fn pauses() -> u32 {
    with(|w| w.pauses)
}

/// Lets other threads run for a while.
pub fn pause() {
    if panicking() {
        return;
    }
    let engine = with(|w| {
        w.pauses += 1;
        assert!(
            w.pauses < PAUSES_MAX,
            "hang: a condition that is waited for does not become true"
        );
        w.setup.engine
    });
    engine.yield_now();
}

/// Waits until another thread has made `condition` true.
pub fn wait_until(condition: impl Fn(&World) -> bool + Clone + 'static) {
    while !panicking() {
        let engine = with(|w| {
            if condition(w) {
                return None;
            }
            let (cpu, thread) = (w.cpu(), w.setup.engine.handle());
            // Inserted once only: a thread can return from `park` without having been unparked.
            w.waiters.insert(cpu, (thread, Box::new(condition.clone())));
            Some(w.setup.engine)
        });
        match engine {
            None => return,
            Some(engine) => engine.park(),
        }
    }
}

/// Wakes the threads whose condition is true. To be called after each change of plain state.
pub fn wake() {
    if panicking() {
        return;
    }
    let woken: BTreeMap<_, _> = with(|w| {
        let (woken, waiting): (BTreeMap<_, _>, _) = std::mem::take(&mut w.waiters)
            .into_iter()
            .partition(|(_, (_, condition))| condition(w));
        w.waiters = waiting;
        woken
    });
    for (thread, _) in woken.into_values() {
        thread.unpark();
    }
}

/// Allocates zeroed memory. `counted` memory must be freed before the execution ends.
pub fn alloc(layout: Layout, counted: bool) -> *mut u8 {
    let engine = engine();
    // Memory that is reused at once shows code that relies on addresses. It hides uses after free.
    // Where chance decides, both cases occur.
    let reuse = !panicking() && engine.toss();
    with(|w| {
        let addr = w.memory.alloc(layout, counted, reuse);
        if let Some(place) = w.new_place() {
            w.blocks.insert(addr, place);
        }
        addr
    }) as *mut u8
}

/// Returns whether an object is in one block of the machine's memory.
pub fn on_heap<T>(object: &T) -> bool {
    let first = std::ptr::from_ref(object) as usize;
    let last = first + size_of::<T>().max(1) - 1;
    with(|w| {
        let block = w.memory.block_of(first);
        block.is_some() && block == w.memory.block_of(last)
    })
}

/// Frees memory. No other CPU may be able to reach it.
pub fn free(ptr: *mut u8) {
    if panicking() {
        return;
    }
    let addr = ptr as usize;
    let mut block = None;
    let outcome = with(|w| {
        let reader = w.cpus.iter().position(|cpu| cpu.loaded.contains(&addr));
        let size = w.memory.free(addr)?;
        w.slots
            .retain(|slot, _| !(addr..addr + size).contains(slot));
        w.cells
            .retain(|cell, _| !(addr..addr + size).contains(cell));
        block = w.blocks.remove(&addr);
        match reader {
            Some(cpu) => Err(format!(
                "CPU {cpu} can still reach {addr:#x}, which is freed"
            )),
            None if w.locks.any_held_in(addr, size) => Err(format!("a lock in {addr:#x} is held")),
            None => Ok(()),
        }
    });
    if let Err(message) = outcome {
        panic!("{message}");
    }
    plain::freed(block);
}

impl World {
    pub(crate) fn cpu(&mut self) -> usize {
        let id = self.setup.engine.current();
        let next = self.ids.len();
        let cpu = *self.ids.entry(id).or_insert(next);
        if cpu == self.cpus.len() {
            self.add_cpu();
        }
        cpu
    }

    fn add_cpu(&mut self) {
        self.cpus.push(Cpu {
            loaded: HashSet::new(),
            nesting: 0,
            section: 0,
            loads: (0..LOADS).map(|_| Slot::new(self.setup.engine)).collect(),
            enter: Slot::new(self.setup.engine),
            exits: 0,
            exit: Slot::new(self.setup.engine),
            seen_starts: 0,
            seen_exits: BTreeMap::new(),
            holds: Vec::new(),
            wants: None,
            irqs_off: 0,
            handlers: 0,
        });
    }

    /// The word at an address. Panics if the memory is freed.
    pub(crate) fn slot(&mut self, addr: usize) -> Rc<Slot> {
        self.check_not_freed(addr);
        if let Some(slot) = self.slots.get(&addr) {
            return slot.clone();
        }
        let slot = if self.setup.engine == Engine::Shuttle || self.alone {
            Slot::new(self.setup.engine)
        } else {
            self.reserve
                .pop()
                .expect("RESERVE is too small for this model")
        };
        slot.turn.set(self.turns);
        self.turns += 1;
        self.slots.insert(addr, slot.clone());
        slot
    }

    /// The plain cell at an address, if this execution looks for races. Panics if the memory is
    /// freed.
    pub(crate) fn cell(&mut self, addr: usize) -> Option<Place> {
        self.check_not_freed(addr);
        if let Some(cell) = self.cells.get(&addr) {
            return Some(cell.clone());
        }
        let cell = self.new_place()?;
        self.cells.insert(addr, cell.clone());
        Some(cell)
    }

    /// The block that contains the address, if there is one and this execution looks for races.
    pub(crate) fn block(&mut self, addr: usize) -> Option<Place> {
        let (start, _) = self.memory.block_of(addr)?;
        self.blocks.get(&start).cloned()
    }

    fn new_place(&mut self) -> Option<Place> {
        if self.setup.engine == Engine::Shuttle {
            return None;
        }
        if self.alone {
            return Some(new_place());
        }
        let place = self.reserve_places.pop();
        Some(place.expect("RESERVE_PLACES is too small for this model"))
    }

    /// Panics if the memory is freed.
    pub(crate) fn check_not_freed(&self, addr: usize) {
        if let Some((block, false)) = self.memory.block_of(addr) {
            assert!(
                panicking(),
                "use of {addr:#x} in {block:#x}, which is freed"
            );
        }
    }
}

fn new_place() -> Place {
    Rc::new(UnsafeCell::new(()))
}
