//! Removes what no output of a VXM stage needs: nobody may drive a wire for nothing.

use crate::mesh::Arg;
use crate::problem::{Chain, Feed};

/// Keeps the nodes and feeds of a chain that its outputs reach, and its pass only if its result is among them.
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
    if !vxm.feeds.contains(&Feed::Pass) {
        chain.pass = None;
    }
}

fn live<T>(all: Vec<T>, live: &[bool]) -> Vec<T> {
    let kept = all.into_iter().zip(live).filter(|(_, l)| **l);
    kept.map(|(x, _)| x).collect()
}
