//! The promise: the configuration takes precedence over the variables; an unusable variable is named and does no harm.

use super::environment::*;
use super::*;
use crate::setting::HumanDuration;

const COLLECTOR: (&str, &str) = (ENDPOINT, "http://c:4318");

fn of(tracing: &TracingConfig, variables: &[(&str, &str)]) -> Plan {
    plan(tracing, &MetricsConfig::default(), &|name| {
        let found = variables.iter().find(|(held, _)| *held == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn at(endpoint: Option<&str>) -> TracingConfig {
    TracingConfig {
        endpoint: endpoint.map(Into::into),
        ..TracingConfig::default()
    }
}

fn warned(plan: &Plan) -> Vec<&'static str> {
    plan.warnings.iter().map(|warning| warning.variable).collect()
}

#[test]
fn tracing_is_off_unless_an_endpoint_says_otherwise() {
    let check = |endpoint, variables: &[(&str, &str)], expected: Option<(&str, Protocol)>| {
        let plan = of(&at(endpoint), variables);
        let traces = plan.traces.as_ref();
        let found = traces.map(|traces| (traces.endpoint.as_str(), traces.protocol));
        assert_eq!(found, expected, "{endpoint:?} {variables:?}");
        assert_eq!(warned(&plan), [""; 0], "{endpoint:?} {variables:?}");
    };
    let (grpc, http) = (Protocol::Grpc, Protocol::Http);
    check(None, &[], None);
    check(None, &[(ENDPOINT, " ")], None);
    check(Some("http://a:4317"), &[], Some(("http://a:4317", grpc)));
    check(
        Some("http://a:4318"),
        &[],
        Some(("http://a:4318/v1/traces", http)),
    );
    check(Some("http://a/in"), &[], Some(("http://a/in", http)));
    check(None, &[COLLECTOR], Some(("http://c:4318/v1/traces", http)));
    check(
        None,
        &[(ENDPOINT, "\thttp://c:4317\r\n")],
        Some(("http://c:4317", grpc)),
    );
    check(
        None,
        &[(ENDPOINT, "http://c/base/")],
        Some(("http://c/base/v1/traces", http)),
    );
    let traces = (TRACES_ENDPOINT, "http://t");
    check(None, &[COLLECTOR, traces], Some(("http://t", http)));
    check(
        Some("http://a"),
        &[COLLECTOR, (PROTOCOL, "GRPC")],
        Some(("http://a", grpc)),
    );
    check(Some("http://a"), &[(DISABLED, "TRUE")], None);
    check(
        Some("http://a:4317"),
        &[(DISABLED, "False")],
        Some(("http://a:4317", grpc)),
    );
    check(Some("http://a"), &[(TRACES_EXPORTER, "none")], None);
    check(
        Some("http://a:4317"),
        &[(TRACES_EXPORTER, "otlp")],
        Some(("http://a:4317", grpc)),
    );
}

#[test]
fn metrics_have_their_own_endpoint_and_the_same_switches() {
    let check = |variables: &[(&str, &str)], expected: Option<&str>| {
        let plan = of(&TracingConfig::default(), variables);
        let found = plan.metrics.as_ref().map(|push| push.endpoint.as_str());
        assert_eq!(found, expected, "{variables:?}");
        assert!(plan.traces.is_none());
    };
    let own = (METRICS_ENDPOINT, " http://m:4317\n");
    check(&[], None);
    check(&[own], Some("http://m:4317"));
    check(&[own, (METRICS_EXPORTER, "none")], None);
    check(&[own, (DISABLED, "true")], None);
    check(&[own, (METRICS_EXPORTER, "prometheus")], Some("http://m:4317"));
}

#[test]
fn the_configuration_is_stronger_than_the_variables() {
    let variables = [
        COLLECTOR,
        (TIMEOUT, "1500"),
        (SAMPLER, "traceidratio"),
        (SAMPLER_ARG, "0.5"),
    ];
    let traces = of(&TracingConfig::default(), &variables).traces.unwrap();
    assert_eq!(traces.timeout, Duration::from_millis(1_500));
    assert_eq!((traces.sampler.parent_based, traces.sampler.ratio), (false, 0.5));
    let config = TracingConfig {
        ratio: Some(0.01),
        timeout: Some(HumanDuration::secs(2)),
        ..TracingConfig::default()
    };
    let traces = of(&config, &variables).traces.unwrap();
    assert_eq!((traces.sampler.ratio, traces.timeout.as_secs()), (0.01, 2));
}

#[test]
fn samplers_have_opentelemetrys_names() {
    let check = |name: &str, argument: &str, expected: (bool, f64), ignored: &[&str]| {
        let variables = [COLLECTOR, (SAMPLER, name), (SAMPLER_ARG, argument)];
        let plan = of(&TracingConfig::default(), &variables);
        let sampler = plan.traces.as_ref().unwrap().sampler;
        assert_eq!(
            (sampler.parent_based, sampler.ratio),
            expected,
            "{name} {argument}"
        );
        assert_eq!(warned(&plan), ignored, "{name} {argument}");
    };
    check("always_on", "", (false, 1.0), &[]);
    check("always_off\n", "", (false, 0.0), &[]);
    check("traceidratio", "0.25", (false, 0.25), &[]);
    check("ParentBased_TraceIdRatio", " 0.25 ", (true, 0.25), &[]);
    check("parentbased_always_off", "", (true, 0.0), &[]);
    check("parentbased_traceidratio", "", (true, 1.0), &[]);
    check("parentbased_traceidratio", "2", (true, 1.0), &[SAMPLER_ARG]);
    check("parentbased_traceidratio", "NaN", (true, 1.0), &[SAMPLER_ARG]);
    check("xray", "", (true, 1.0), &[SAMPLER]);
    check(
        "jaeger_remote",
        "endpoint=http://j:14250",
        (true, 1.0),
        &[SAMPLER],
    );
    check("parentbased_jaeger_remote", "x", (true, 1.0), &[SAMPLER]);
}

#[test]
fn a_variable_of_no_use_is_ignored_and_named() {
    let key = format!(
        "{}/tests/it/support/nats_tls/server-key.pem",
        env!("CARGO_MANIFEST_DIR")
    );
    for (name, value) in [
        (PROTOCOL, "http/json"),
        (TRACES_PROTOCOL, "thrift"),
        (TIMEOUT, "1s"),
        (TIMEOUT, "0"),
        (SAMPLER, "sometimes"),
        (DISABLED, "yes"),
        (TRACES_EXPORTER, "zipkin"),
        (METRICS_EXPORTER, "console"),
        (COMPRESSION, "gzip"),
        (CERTIFICATE, "/none"),
        (CERTIFICATE, &key),
        (RESOURCE_ATTRIBUTES, "a"),
    ] {
        let config = at(Some("http://c:4318"));
        let plan = of(&config, &[(name, value)]);
        assert_eq!(warned(&plan), [name], "{value}");
        let without = Plan {
            warnings: Vec::new(),
            ..plan
        };
        assert_eq!(without, of(&config, &[]), "{name}={value}");
    }
    // Nothing is traced by an address that is none, and its password is not repeated.
    let plan = of(&TracingConfig::default(), &[(ENDPOINT, "user:secret@c:4317")]);
    assert!(plan.traces.is_none());
    assert_eq!(warned(&plan), [ENDPOINT]);
    assert!(!plan.warnings[0].to_string().contains("secret"));
    // The general one counts where that of the signal is of no use.
    let variables = [COLLECTOR, (TRACES_PROTOCOL, "thrift"), (PROTOCOL, "grpc")];
    let plan = of(&TracingConfig::default(), &variables);
    assert_eq!(plan.traces.unwrap().protocol, Protocol::Grpc);
}

#[test]
fn resource_attributes_are_percent_decoded_or_ignored_as_a_whole() {
    let check = |text: &str, name: &str, expected: &[(&str, &str)]| {
        let variables = [COLLECTOR, (RESOURCE_ATTRIBUTES, text), (SERVICE_NAME, name)];
        let plan = of(&TracingConfig::default(), &variables);
        let found: Vec<_> = plan
            .resource
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected, "{text:?}");
        let is_lost = expected.is_empty() && !text.is_empty();
        assert_eq!(warned(&plan).contains(&RESOURCE_ATTRIBUTES), is_lost, "{text:?}");
    };
    check("", "", &[]);
    check("a=1, b = two words\n", "", &[("a", "1"), ("b", "two words")]);
    check("a%2Cb=c%3Dd%20%C3%A4,", "", &[("a,b", "c=d ä")]);
    check("service.name=x,a=", "", &[("service.name", "x"), ("a", "")]);
    check("service.name=x", " y\n", &[("service.name", "y")]);
    for bad in ["a=1,b", "=1", "a=%", "a=%4", "a=%zz", "a=%FF", "a=%+1"] {
        check(bad, "", &[]);
    }
}
