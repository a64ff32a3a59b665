//! Removes what nobody needs: nodes of a VXM stage that no output reaches, words that are written and not read.

use crate::mesh::Arg;
use crate::problem::{Buffer, BufferId, Chain, Feed, Origin, Read};

/// Keeps the nodes, feeds and passes of a chain that its outputs reach.
pub fn prune(chain: &mut Chain) {
    let Some(vxm) = &mut chain.vxm else { return };
    let mut nodes = vec![false; vxm.nodes.len()];
    let mut feeds = vec![false; vxm.feeds.len()];
    vxm.outputs.iter().for_each(|&o| nodes[o] = true);
    for n in (0..vxm.nodes.len()).rev() {
        if !nodes[n] {
            continue;
        }
        for arg in &vxm.nodes[n].args {
            match *arg {
                Arg::Input(i) => feeds[i] = true,
                Arg::Node(m) => nodes[m] = true,
                Arg::Imm => {}
            }
        }
    }
    let number = |live: &[bool], i: usize| live[..i].iter().filter(|l| **l).count();
    let renumber = |arg: &Arg| match *arg {
        Arg::Input(i) => Arg::Input(number(&feeds, i)),
        Arg::Node(n) => Arg::Node(number(&nodes, n)),
        Arg::Imm => Arg::Imm,
    };
    for node in &mut vxm.nodes {
        node.args = node.args.iter().map(renumber).collect();
    }
    vxm.outputs.iter_mut().for_each(|o| *o = number(&nodes, *o));
    vxm.nodes = live(std::mem::take(&mut vxm.nodes), &nodes);
    vxm.feeds = live(std::mem::take(&mut vxm.feeds), &feeds);
    // Passes that feed nothing now, nor the pass after them.
    let mut needed = vec![false; chain.passes.len()];
    for p in (0..needed.len()).rev() {
        let relays = chain.passes.get(p + 1).is_some_and(|next| next.relayed());
        needed[p] = vxm.feeds.contains(&Feed::Pass(p)) || relays && needed[p + 1];
    }
    for feed in &mut vxm.feeds {
        if let Feed::Pass(p) = feed {
            *p = number(&needed, *p);
        }
    }
    chain.passes = live(std::mem::take(&mut chain.passes), &needed);
}

/// Cuts what nobody reads off both ends of written buffers; `kept` are read whole by the host.
pub fn trim(chains: &mut [Chain], buffers: &mut [Buffer], kept: &[BufferId]) {
    let mut read: Vec<Option<(i64, i64)>> = vec![None; buffers.len()];
    let mut note = |r: &Read, count: u32| {
        let start = i64::from(r.start);
        let last = start + i64::from(r.step) * (i64::from(count) - 1);
        let (low, high) = (start.min(last), start.max(last));
        let span = &mut read[r.buffer.0 as usize];
        *span = Some(span.map_or((low, high), |(l, h)| (l.min(low), h.max(high))));
    };
    for chain in chains.iter() {
        chain.row_reads().for_each(|(r, n)| note(r, n));
        let loads = chain.install_reads();
        loads.for_each(|(s, r)| note(r, u32::from(s.count)));
    }
    kept.iter().for_each(|b| read[b.0 as usize] = None);
    let cut = |b: BufferId| match (&buffers[b.0 as usize].origin, read[b.0 as usize]) {
        (Origin::Written, Some((low, high))) => Some((low as u32, (high - low) as u32 + 1)),
        _ => None,
    };
    let cuts: Vec<_> = (0..buffers.len() as u32)
        .map(|b| cut(BufferId(b)))
        .collect();
    let start = |r: &mut Read| r.start -= cuts[r.buffer.0 as usize].map_or(0, |c| c.0);
    for chain in chains {
        chain.each_read(start);
        for write in &mut chain.writes {
            if let Some((low, words)) = cuts[write.buffer.0 as usize] {
                write.first += low * write.step;
                write.count = words;
            }
        }
    }
    for (buffer, cut) in buffers.iter_mut().zip(&cuts) {
        buffer.words = cut.map_or(buffer.words, |c| c.1);
    }
}

fn live<T>(all: Vec<T>, live: &[bool]) -> Vec<T> {
    let kept = all.into_iter().zip(live).filter(|(_, l)| **l);
    kept.map(|(x, _)| x).collect()
}
