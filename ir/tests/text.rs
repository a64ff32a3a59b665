//! The text form: every op's example, generated modules, and the errors of the parser.

mod generate;

use tspc_ir::table::Form;
use tspc_ir::text::{parse, print, print_without_locations};
use tspc_ir::{ConstPool, Module, Opcode, ops};

fn read(text: &str) -> Module {
    parse("t.tspc", text, &ConstPool::default()).unwrap_or_else(|d| panic!("{d}\n{text}"))
}

fn error(text: &str) -> String {
    match parse("t.tspc", text, &ConstPool::default()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(d) => d.to_string(),
    }
}

/// Every op of the table has an example that uses it, and the example is canonical text.
#[test]
fn examples_are_canonical_text() {
    for op in Opcode::ALL {
        let def = op.def();
        assert!(def.example.contains(def.name), "{}", def.name);
        let example = format!("{}{}", ops::prelude(def.dialect), def.example);
        let (args, lines) = example.split_once('\n').unwrap();
        let body: String = lines.lines().map(|l| format!("  {l}\n")).collect();
        let text = format!("module @example{args} {{\n{body}}}\n");
        let module = read(&text);
        let unbroken = print_without_locations(&module).replace(",\n    ", ", ");
        assert_eq!(unbroken, text, "{}", def.name);
        assert_eq!(read(&print(&module)), module, "{}", def.name);
        let there = module.ops().any(|(_, data)| data.opcode == *op);
        assert!(there, "{}", def.name);
    }
}

#[test]
fn generated_modules_round_trip() {
    for seed in 0..200 {
        let module = generate::module(seed);
        let text = print(&module);
        let side = ConstPool::read_side_file(&module.consts().write_side_file()).unwrap();
        let back =
            parse("g.tspc", &text, &side).unwrap_or_else(|d| panic!("seed {seed}: {d}\n{text}"));
        assert!(back == module, "seed {seed}\n{text}");
        assert_eq!(print(&back), text, "seed {seed}");
    }
}

/// No damage to a text makes the parser panic.
#[test]
fn damaged_text_gives_errors() {
    for seed in 0..40 {
        let text = print(&generate::module(seed));
        let mut random = generate::Random(seed);
        for _ in 0..50 {
            let mut bytes = text.clone().into_bytes();
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = b" %#@^(){}[]<>=,:\"\\x019-\n"[random.below(23)],
                _ => bytes.truncate(at),
            }
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = parse("d.tspc", &text, &ConstPool::default());
            }
        }
    }
}

#[test]
fn an_op_without_location_gets_its_place_in_the_text() {
    let module =
        read("module @m(%0 \"x\": tensor<2xf32>) {\n  %1 = tensor.exp(%0) : tensor<2xf32>\n}\n");
    assert!(
        print(&module).contains("loc(\"t.tspc\":2:8)"),
        "{}",
        print(&module)
    );
}

#[test]
fn errors_show_line_and_caret() {
    let text = "module @m(%0 \"x\": tensor<2x3xf32>) {\n  %1 = tensor.matmul(%0, %0) : tensor<2x3xf32>\n}\n";
    insta::assert_snapshot!(error(text), @r"
    error: tensor.matmul: contraction dimensions differ: 3 and 2
     --> t.tspc:2:8
      |
    2 |   %1 = tensor.matmul(%0, %0) : tensor<2x3xf32>
      |        ^^^^^^^^^^^^^
    ");
}

#[test]
fn a_second_definition_shows_the_first() {
    let text = "module @m(%0 \"x\": tensor<2xf32>) {\n  %0 = tensor.exp(%0) : tensor<2xf32>\n}\n";
    insta::assert_snapshot!(error(text), @r#"
    error: %0 is defined twice
     --> t.tspc:2:3
      |
    2 |   %0 = tensor.exp(%0) : tensor<2xf32>
      |   ^^
    note:
     --> t.tspc:1:11
      |
    1 | module @m(%0 "x": tensor<2xf32>) {
      |           ^^ previous definition
    "#);
}

#[test]
fn the_parser_says_what_is_wrong() {
    let op = |line: &str| {
        error(&format!(
            "module @m(%0 \"x\": tensor<2xf32>) {{\n{line}\n}}\n"
        ))
    };
    for (line, message) in [
        ("%1 = tensor.sin(%0) : tensor<2xf32>", "unknown op"),
        (
            "%1 = tensor.exp(%7) : tensor<2xf32>",
            "%7 is not defined before its use",
        ),
        (
            "%1 = tensor.exp(%0) : tensor<3xf32>",
            "the type is tensor<2xf32>, not tensor<3xf32>",
        ),
        (
            "%1, %2 = tensor.exp(%0) : tensor<2xf32>, tensor<2xf32>",
            "the op has 1 results, 2 are named",
        ),
        ("tensor.exp(%0)", "the op has 1 results, 0 are named"),
        (
            "%1 = tensor.exp(%0, %0) : tensor<2xf32>",
            "takes 1 operands, has 2",
        ),
        (
            "%1 = tensor.exp(%0) {axis = 1} : tensor<2xf32>",
            "tensor.exp has no attribute axis",
        ),
        (
            "%1 = tensor.reduce(%0) {kind = sum} : tensor<1xf32>",
            "attribute axis is missing",
        ),
        (
            "%1 = tensor.reduce(%0) {kind = mean, axis = 0} : tensor<1xf32>",
            "expected sum | max",
        ),
        (
            "%1 = tensor.reduce(%0) {axis = 0, axis = 0, kind = sum} : tensor<1xf32>",
            "attribute axis is given twice",
        ),
        (
            "%1 = tensor.exp(%0,) : tensor<2xf32>",
            "expected an item after the comma",
        ),
        ("%01 = tensor.exp(%0) : tensor<2xf32>", "expected a number"),
        ("%1 = tensor.exp(%0) : tensor<0xf32>", "a dimension is 0"),
        (
            "%1 = tensor.constant() {value = dense<2xf32>[1.0]} : tensor<2xf32>",
            "needs 8 bytes of data, has 4",
        ),
        (
            "%1 = tensor.constant() {value = dense<1xi8>[128]} : tensor<1xi8>",
            "expected i8",
        ),
        (
            "%1 = tensor.constant() {value = ref<1xi8, \"00\">} : tensor<1xi8>",
            "no such constant in the side file",
        ),
        (
            "%1 = tensor.exp(%0) : tensor<2xf32> loc(#loc0)",
            "#loc0 is not defined",
        ),
        (
            "%1 = tensor.exp(%0) : tensor<2xf32> loc(\"a)",
            "the string does not end on its line",
        ),
        (
            "%1 = stream.alu(%0) {op = exp, elem = f32} : stream<2xf32>",
            "the op may only stand in a region",
        ),
        ("?", "unexpected character"),
    ] {
        assert!(op(line).contains(message), "{line}\n{}", op(line));
    }
    assert!(op("}").contains("expected the end of the text"));
}

#[test]
fn region_ops_carry_their_form() {
    let regions: Vec<_> = Opcode::ALL
        .iter()
        .filter(|o| o.def().form == Form::Region)
        .collect();
    assert_eq!(regions, [&Opcode::StreamPipeline]);
}
