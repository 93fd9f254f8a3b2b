#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lago_engine_fuzz::check_body(data));
