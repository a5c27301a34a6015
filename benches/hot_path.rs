//! The time of the hot path's pieces, for each message: `cargo bench --bench hot_path`.
//!
//! `instructions` runs the same scenes; whether a change made them slower is better told by what is counted there.

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use linehub::model::{ConnId, Item};
use linehub::protocol::json::{JsonDecoder, MessageHead};
use linehub::protocol::{Decoder, Intake, Output, Wire, codec};

mod scenes;

use scenes::{BATCH, Hall, TERMS};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Payloads: a reading, a line of a log, a document.
const PAYLOADS: [usize; 3] = [16, 128, 1_024];

/// Members of the room.
const MEMBERS: [usize; 4] = [1, 10, 100, 1_000];

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(BATCH as u64));
    for payload in PAYLOADS {
        for id in [false, true] {
            let lines = scenes::lines(payload, id);
            let mut decoder = JsonDecoder::new(&TERMS);
            let name = format!("{payload} bytes{}", if id { ", id" } else { "" });
            group.bench_function(name, |bencher| {
                let input = || (BytesMut::from(&lines[..]), Intake::default());
                let decode = |(mut input, mut intake): (BytesMut, Intake)| {
                    decoder.decode(&mut input, &mut intake);
                    intake
                };
                bencher.iter_batched(input, decode, BatchSize::SmallInput);
            });
        }
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(BATCH as u64));
    for payload in PAYLOADS {
        let mut scene = scenes::scene(&format!("encode-{payload}")).expect("there is such a scene");
        group.bench_function(format!("{payload} bytes"), |bencher| bencher.iter(&mut scene));
    }
    let mut oks = scenes::scene("oks").expect("there is such a scene");
    group.bench_function("ok of a send", |bencher| bencher.iter(&mut oks));
    group.finish();
}

fn text(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text");
    group.throughput(Throughput::Elements(BATCH as u64));
    let (place, from) = (scenes::place(), scenes::sender(ConnId(1)));
    let head = MessageHead::new(&place);
    for payload in PAYLOADS {
        let (body, mut spare) = (scenes::body(payload), Vec::new());
        let (_, mut encoder) = codec(Wire::Text, &TERMS);
        group.bench_function(format!("{payload} bytes"), |bencher| {
            let chunk = || scenes::chunk(&head, &place, &from, &body, &mut spare);
            let render = |chunk| {
                let mut output = Output::default();
                encoder.encode(Item::Feed { chunk, from: 0, to: BATCH as u16, replay: false }, &mut output);
                output
            };
            bencher.iter_batched(chunk, render, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for members in MEMBERS {
        // Messages delivered: what the cost of a server is counted in.
        group.throughput(Throughput::Elements((BATCH * members) as u64));
        let mut hall = Hall::new(members, false);
        let (place, body) = (scenes::place(), Bytes::from(scenes::body(128)));
        group.bench_function(format!("to {members}"), |bencher| {
            // One at a time: a router takes the parcels of a round together, and here each is a round of its own.
            bencher.iter_custom(|rounds| {
                let mut taken = Duration::ZERO;
                for _ in 0..rounds {
                    let parcel = hall.parcel(&place, &body);
                    let begun = std::time::Instant::now();
                    black_box(hall.route(parcel));
                    taken += begun.elapsed();
                }
                taken
            });
        });
    }
    for (name, what) in [("whole-1", "1, bytes to bytes"), ("whole-10", "10, bytes to bytes")] {
        let members = if name == "whole-1" { 1 } else { 10 };
        group.throughput(Throughput::Elements((BATCH * members) as u64));
        let mut scene = scenes::scene(name).expect("there is such a scene");
        group.bench_function(format!("to {what}"), |bencher| bencher.iter(&mut scene));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = decode, encode, text, route
}
criterion_main!(benches);
