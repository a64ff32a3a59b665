//! Changes of time and of unit: nops, repeats, dropped and moved instructions.

use tspc::program::{Instr, Program, QueueId, Site, Unit};

use crate::subject::{Change, Place, Subject, below, dispatches, one_of};
use crate::tiled::Seeded;

/// All that follows in the queue is a cycle later or earlier.
pub fn nop(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let site = s.pick(dice, |_, instr| matches!(instr, Instr::Nop { .. }))?;
    let Instr::Nop { n } = *s.instr(site) else {
        return None;
    };
    let n = shifted(n, dice)?;
    Some(s.replaced(site, &[(0, Instr::Nop { n })]))
}

/// One instruction, with its repeat, is one to four cycles later or earlier; what follows keeps its cycle.
pub fn one_instruction(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let after = |site| 1 + i64::from(s.repeat(site).is_some());
    let nops = |site| match (s.beside(site, -1), s.beside(site, after(site))) {
        (Some(&Instr::Nop { n }), Some(&Instr::Nop { n: m })) => Some((n, m)),
        _ => None,
    };
    let loose = |site| nops(site).is_some_and(|(n, m)| n > 1 || m > 1);
    let site = s.pick(dice, |site, instr| dispatches(instr) && loose(site))?;
    let (n, m) = nops(site)?;
    let later = m > 1 && (n == 1 || below(dice, 2) == 0);
    let room = if later { m - 1 } else { n - 1 };
    let by = 1 + below(dice, room.min(4).into()) as u16;
    let (n, m) = if later {
        (n.checked_add(by)?, m - by)
    } else {
        (n - by, m.checked_add(by)?)
    };
    Some(s.replaced(
        site,
        &[(-1, Instr::Nop { n }), (after(site), Instr::Nop { n: m })],
    ))
}

/// Another interval; the queue's next instruction moves too.
pub fn repeat_interval(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    repeat(s, dice, |n, d, dice| Some((n, shifted(d, dice)?)))
}

/// Another count; the queue's next instruction moves too.
pub fn repeat_count(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    repeat(s, dice, |n, d, dice| Some((shifted(n, dice)?, d)))
}

fn repeat(
    s: &Subject,
    dice: &mut Seeded,
    other: impl Fn(u16, u16, &mut Seeded) -> Option<(u16, u16)>,
) -> Option<Change> {
    let site = s.pick(dice, |_, instr| matches!(instr, Instr::Repeat { .. }))?;
    let Instr::Repeat { n, d } = *s.instr(site) else {
        return None;
    };
    let (n, d) = other(n, d, dice)?;
    Some(s.replaced(site, &[(0, Instr::Repeat { n, d })]))
}

/// One more or one less, at least 1.
fn shifted(n: u16, dice: &mut Seeded) -> Option<u16> {
    if n > 1 && below(dice, 2) == 0 {
        Some(n - 1)
    } else {
        n.checked_add(1)
    }
}

/// A nop of equal length in the place of an instruction and its repeat. It is cut in two where there was a repeat, so
/// that the instructions behind it keep their numbers and the change is not seen by these alone.
pub fn dropped(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let site = s.pick(dice, |_, instr| dispatches(instr))?;
    Some(s.replaced(site, &nops_for(s, site)?))
}

fn nops_for(s: &Subject, site: Site) -> Option<Vec<(i64, Instr)>> {
    let mut nops = vec![(0, Instr::Nop { n: 1 })];
    if let Some((n, d)) = s.repeat(site) {
        let n = u16::try_from(u32::from(n) * u32::from(d)).ok()?;
        nops.push((1, Instr::Nop { n }));
    }
    Some(nops)
}

/// An instruction, with its repeat, at the same cycle in another queue of its kind.
pub fn moved(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let site = s.pick(dice, |_, instr| dispatches(instr))?;
    let all: Vec<QueueId> = others(site.queue).collect();
    let to = one_of(dice, &all)?;
    let mut change = s.replaced(site, &nops_for(s, site)?);
    let times = |queue: QueueId| tspc::program::dispatches(&s.program.queues[queue.index()]);
    let moving = times(site.queue).find(|d| d.index == site.index as usize)?;
    let there: Vec<_> = times(to).collect();
    if there
        .iter()
        .any(|d| d.first <= moving.last() && moving.first <= d.last())
    {
        return None;
    }
    let of = |queue: QueueId, index| s.instr(Site { queue, index });
    let mut timeline: Vec<_> = there
        .iter()
        .map(|d| (*d, *of(to, d.index as u32)))
        .collect();
    timeline.push((moving, *s.instr(site)));
    timeline.sort_by_key(|(d, _)| d.first);
    let mut queue = Vec::new();
    let mut free = 0;
    for (d, instr) in timeline {
        for n in nops(d.first - free) {
            queue.push(Instr::Nop { n });
        }
        queue.push(instr);
        if d.n > 0 {
            queue.push(Instr::Repeat { n: d.n, d: d.d });
        }
        free = d.last() + 1;
    }
    change.program.queues[to.index()] = queue;
    change.what += &format!("; moved to {to}");
    Some(change)
}

fn nops(gap: u64) -> impl Iterator<Item = u16> {
    let longest = u64::from(u16::MAX);
    let whole = std::iter::repeat_n(u16::MAX, (gap / longest) as usize);
    whole.chain(Some((gap % longest) as u16).filter(|n| *n > 0))
}

/// The contents of two queues of a kind exchanged: every record of `uses` still names instructions.
pub fn exchanged(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let queues: &[Vec<Instr>] = &s.program.queues;
    let pairs: Vec<(QueueId, QueueId)> = QueueId::all()
        .flat_map(|a| others(a).map(move |b| (a, b)))
        .filter(|(a, b)| a < b)
        .filter(|(a, b)| !queues[a.index()].is_empty() && queues[a.index()] != queues[b.index()])
        .collect();
    let (a, b) = one_of(dice, &pairs)?;
    let mut program: Program = s.program.clone();
    program.queues.swap(a.index(), b.index());
    Some(Change {
        what: format!("{a} and {b} exchanged"),
        place: Place::Instr(Site { queue: a, index: 0 }),
        program,
    })
}

/// The other queues of a kind.
fn others(queue: QueueId) -> impl Iterator<Item = QueueId> {
    let kind = |queue: QueueId| match queue.unit() {
        Unit::Alu(_) => 0,
        Unit::Mem(..) => 1,
        Unit::Mxm(_, _, kind) => 2 + kind as usize,
        Unit::Sxm(_, unit) => match unit {
            tspc::program::SxmUnit::Distributor(_) => 5,
            tspc::program::SxmUnit::Transposer(_) => 6,
            tspc::program::SxmUnit::Permutor => 7,
            tspc::program::SxmUnit::ShiftUp | tspc::program::SxmUnit::ShiftDown => 8,
            tspc::program::SxmUnit::Reserved(_) => 9,
        },
    };
    QueueId::all().filter(move |other| *other != queue && kind(*other) == kind(queue))
}
