// SPDX-License-Identifier: GPL-2.0

//! All that an execution has.

use crate::{
    engine::{
        Engine,
        Handle,
        Thread,
        ThreadId,
        Word, //
    },
    interrupt::Coming,
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

/// What an execution starts with.
#[derive(Copy, Clone)]
pub struct Setup {
    /// Who schedules.
    pub engine: Engine,
    /// How many kworkers there are. With none, whoever sleeps until something is done does it.
    pub kworkers: usize,
}

/// A word in use.
pub(crate) struct Slot {
    /// Its turn among all of the execution.
    pub(crate) turn: Cell<usize>,
    /// The CPUs that have loaded it since somebody changed it last, as bits.
    pub(crate) readers: Cell<u32>,
    pub(crate) word: Word,
    /// What it was set to last. A thread that panics reads this: it must not be scheduled.
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
    /// Blocks that the running read section has loaded pointers to.
    pub(crate) loaded: HashSet<usize>,
    /// How deep it is in read sections, and which one, in the order of all.
    pub(crate) nesting: u32,
    pub(crate) section: u64,
    /// What tells loom of its loads and of its read sections: see [`crate::word`].
    pub(crate) loads: Vec<Rc<Slot>>,
    pub(crate) enter: Rc<Slot>,
    /// How many read sections have ended.
    pub(crate) exits: u64,
    pub(crate) exit: Rc<Slot>,
    /// How many grace periods had begun when it last entered a read section, and how many read
    /// sections of each other CPU had ended when it last waited for a grace period.
    pub(crate) seen_starts: u64,
    pub(crate) seen_exits: BTreeMap<usize, u64>,
    /// The locks it holds, and the one it waits for.
    pub(crate) holds: Vec<usize>,
    pub(crate) wants: Option<usize>,
    /// How often its interrupts were turned off.
    pub(crate) irqs_off: u32,
    /// How many handlers it runs, one in the middle of the other.
    pub(crate) handlers: u32,
}

type Condition = Box<dyn Fn(&World) -> bool>;

/// The state of the machine.
pub struct World {
    pub(crate) setup: Setup,
    pub(crate) memory: Memory,
    pub(crate) slots: BTreeMap<usize, Rc<Slot>>,
    /// Cells of plain memory, by address, and blocks.
    cells: BTreeMap<usize, Place>,
    blocks: BTreeMap<usize, Place>,
    /// Words and places that no address has yet. They are made before there is more than one
    /// thread, since loom wants the making of one to come before all uses.
    reserve: Vec<Rc<Slot>>,
    reserve_places: Vec<Place>,
    pub(crate) cpus: Vec<Cpu>,
    ids: HashMap<ThreadId, usize>,
    pub(crate) rcu: Rcu,
    pub(crate) locks: Locks,
    pub(crate) works: Works,
    /// What comes in between.
    pub(crate) coming: Vec<Coming>,
    /// Steps so far, of all CPUs.
    pub(crate) steps: u64,
    /// The CPUs that have written to each address, as bits, while that is watched.
    pub(crate) writers: Option<BTreeMap<usize, u32>>,
    /// Who waits for what, by CPU.
    waiters: BTreeMap<usize, (Thread, Condition)>,
    pauses: u32,
    warnings: u32,
    /// Whether no thread was started yet.
    pub(crate) alone: bool,
    turns: usize,
}

/// Words and places in reserve for what threads use first: more than any model here needs.
const RESERVE: usize = 96;
const RESERVE_PLACES: usize = 96;

/// Words for each CPU's loads, which are shared by the words of many addresses.
const LOADS: usize = 16;

/// How often an execution pauses before that is taken for waiting in vain.
const PAUSES_MAX: u32 = 1000;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Looks at the state, or changes it. Nothing is scheduled meanwhile.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with(|world| f(world.borrow_mut().as_mut().expect("no execution runs")))
}

/// Starts an execution; the calling thread is its first CPU.
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
        writers: None,
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

/// Ends an execution, in which nothing is left, and returns how many steps it had.
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

/// Who schedules this execution.
pub fn engine() -> Engine {
    with(|w| w.setup.engine)
}

/// Steps so far, of all CPUs.
pub fn steps() -> u64 {
    with(|w| w.steps)
}

/// The number of this CPU.
pub fn cpu() -> usize {
    with(World::cpu)
}

/// Starts a thread, and before the first one the kworkers.
pub fn spawn(f: impl FnOnce() + Send + 'static) -> Handle {
    with(|w| w.alone = false);
    work::start();
    engine().spawn(|| {
        cpu();
        f();
    })
}

/// How many words more than one CPU writes while `f` runs, and those that it starts and waits for.
pub fn written_by_many(f: impl FnOnce()) -> usize {
    with(|w| w.writers = Some(BTreeMap::new()));
    f();
    let writers = with(|w| w.writers.take()).unwrap_or_default();
    let by_many = |writers: &&u32| writers.count_ones() > 1;
    writers.values().filter(by_many).count()
}

/// Prints a warning, and counts it.
pub fn warn(text: fmt::Arguments<'_>) {
    eprint!("{text}");
    with(|w| w.warnings += 1);
}

/// How many warnings there were in this execution.
pub fn warnings() -> u32 {
    with(|w| w.warnings)
}

/// How often threads of this execution have let others run for a while.
pub fn pauses() -> u32 {
    with(|w| w.pauses)
}

/// Lets others run for a while.
pub fn pause() {
    if panicking() {
        return;
    }
    let engine = with(|w| {
        w.pauses += 1;
        assert!(
            w.pauses < PAUSES_MAX,
            "hang: what is waited for does not come"
        );
        w.setup.engine
    });
    engine.yield_now();
}

/// Waits until somebody has made `condition` true.
pub fn wait_until(condition: impl Fn(&World) -> bool + Clone + 'static) {
    while !panicking() {
        let engine = with(|w| {
            if condition(w) {
                return None;
            }
            let (cpu, thread) = (w.cpu(), w.setup.engine.handle());
            // Once only: a thread may come back from waiting without having been woken.
            w.waiters.insert(cpu, (thread, Box::new(condition.clone())));
            Some(w.setup.engine)
        });
        match engine {
            None => return,
            Some(engine) => engine.park(),
        }
    }
}

/// Wakes those whose condition has come true. To be called after each change of plain state.
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
    // Memory that comes back at once shows what relies on addresses, and hides what uses it
    // after it was freed: where chance decides there is both.
    let reuse = !panicking() && engine.toss();
    with(|w| {
        let addr = w.memory.alloc(layout, counted, reuse);
        if let Some(place) = w.new_place() {
            w.blocks.insert(addr, place);
        }
        addr
    }) as *mut u8
}

/// Whether an object is in the machine's memory, in one block of it.
pub fn on_heap<T>(object: &T) -> bool {
    let first = std::ptr::from_ref(object) as usize;
    let last = first + size_of::<T>().max(1) - 1;
    with(|w| {
        let block = w.memory.block_of(first);
        block.is_some() && block == w.memory.block_of(last)
    })
}

/// Frees memory, which nobody can reach any more.
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
            None if w.locks.forget(addr, size) => Err(format!("a lock in {addr:#x} is held")),
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

    /// The cell at an address, where races are looked for. Panics if the memory is freed.
    pub(crate) fn cell(&mut self, addr: usize) -> Option<Place> {
        self.check_not_freed(addr);
        if let Some(cell) = self.cells.get(&addr) {
            return Some(cell.clone());
        }
        let cell = self.new_place()?;
        self.cells.insert(addr, cell.clone());
        Some(cell)
    }

    /// The block that is allocated there, if one is, where races are looked for.
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
