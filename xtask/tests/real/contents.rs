//! Images that are not what their platform says.

use std::fs;

use crate::checkout::{Checkout, Done, FOREIGN, NATIVE};

/// One image for two platforms, changed from case to case.
struct Case {
    checkout: Checkout,
}

impl Case {
    fn build(&self, dockerfile: &str, keys: &str) -> Done {
        let image = self.checkout.root.join("image");
        fs::write(image.join("Dockerfile"), dockerfile).unwrap();
        let matrix = fs::read_to_string(self.checkout.root.join("matrix.original")).unwrap();
        fs::write(
            self.checkout.root.join("matrix.toml"),
            matrix.replace("emulate    = true", &format!("emulate    = true\n{keys}")),
        )
        .unwrap();
        self.checkout.commit();
        self.checkout.xtask(&["build", "--fresh"])
    }

    fn built(&self, arch: &str) -> bool {
        let path = self.checkout.record("app.main", arch);
        let plan = self.checkout.plan()["id"].clone();
        path.exists() && self.checkout.read_record("app.main", arch)["plan"] == plan
    }
}

/// The program of another machine, a base pinned to one platform, a file that is missing: none of them is recorded.
pub fn machines(_: &Checkout) {
    let checkout = Checkout::folder("contents", "xtask/tests/real/campaign/");
    let root = checkout.root.clone();
    fs::copy(root.join("matrix.toml"), root.join("matrix.original")).unwrap();
    // A program for this machine, whatever that is; and one for the other, as far as its header says.
    let ours = fs::read(&checkout.tool_words("crane")[0]).unwrap();
    let (native, foreign) = (NATIVE, FOREIGN);
    let mut theirs = ours.clone();
    theirs[18..20].copy_from_slice(if native == "amd64" { &[0xb7, 0] } else { &[0x3e, 0] });
    fs::write(root.join("image").join(native), ours).unwrap();
    fs::write(root.join("image").join(foreign), theirs).unwrap();
    let case = Case { checkout };
    let start = "FROM scratch\nARG TARGETARCH\nENV PATH=/nothing:/usr/bin\n";

    // Right on both, found by PATH; read through two scripts' first lines.
    case.build(&format!("{start}COPY --chmod=755 $TARGETARCH /usr/bin/app\nENTRYPOINT [\"app\"]\n"), "").ok();
    assert!(case.built("amd64") && case.built("arm64"));
    fs::write(case.checkout.root.join("image/script"), "#!/usr/bin/env app\n").unwrap();
    let script = "COPY --chmod=755 script /start\nENTRYPOINT [\"/start\"]\n";
    case.build(&format!("{start}COPY --chmod=755 $TARGETARCH /usr/bin/app\n{script}"), "").ok();

    // The same file for both.
    let message = format!("in it is a program for {native}");
    let wrong = format!("{start}COPY --chmod=755 {native} /usr/bin/app\n");
    let done = case.build(&format!("{wrong}ENTRYPOINT [\"app\"]\n"), "");
    done.fails(1, &[&format!("called an image for linux/{foreign}, and app"), &message, "$TARGETARCH"]);
    assert!(case.built(native) && !case.built(foreign), "only the right one is recorded");
    case.build(&format!("{wrong}{script}"), "").fails(1, &[&message]);

    // A library that nothing starts.
    let right = format!("{start}COPY --chmod=755 $TARGETARCH /usr/bin/app\nENTRYPOINT [\"app\"]\n");
    let library = "binaries   = [\"/opt/lib/*.so\"]";
    case.build(&format!("{right}COPY {native} /opt/lib/x.so\n"), library).fails(1, &["x.so", &message]);
    case.build(&format!("{right}COPY $TARGETARCH /opt/lib/x.so\n"), library).ok();
    case.build(&format!("{right}COPY Dockerfile /opt/lib/x.so\n"), library)
        .fails(1, &["names /opt/lib/*.so, and that is no machine code"]);
    case.build(&right, library).fails(1, &["/opt/lib"]);

    // Nothing that is started, and something that is no program: said, and no error.
    assert!(case.build("FROM scratch\nCOPY Dockerfile /\n", "").ok().stderr.contains("it starts no program"));
    let text = case.build("FROM scratch\nCOPY Dockerfile /x\nENTRYPOINT [\"/x\"]\n", "").ok();
    assert!(text.stderr.contains("no machine code that could be checked"), "{}", text.all());

    // A base that is pinned to one image of an index.
    case.build(&right, "").ok();
    case.checkout.xtask(&["merge"]).ok();
    let published = format!("{}/app", case.checkout.registry());
    let platform = format!("linux/{native}");
    let args = ["digest", "--platform", &platform, &format!("{published}:latest")];
    let pinned = case.checkout.tool("crane", &args).ok().stdout;
    let base = format!("FROM {published}@{}\nCOPY Dockerfile /\n", pinned.trim());
    case.build(&base, "").fails(1, &["was pulled with platform", "pin the digest of the index"]);
    assert!(case.built(native) && !case.built(foreign));
    case.build(&format!("FROM {published}:latest\nCOPY Dockerfile /\n"), "").ok();
    // The same by a tag: what is resolved for all platforms must not hide it.
    let tagged = format!("{published}:one");
    case.checkout
        .tool("crane", &["copy", "--platform", &platform, &format!("{published}:latest"), &tagged])
        .ok();
    case.build(&format!("FROM {tagged}\nCOPY Dockerfile /\n"), "").fails(1, &["was pulled with platform"]);
}
