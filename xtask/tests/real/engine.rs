//! A real Docker Engine, unpacked from Debian packages, that pulls from a mirror on loopback.
//!
//! This is the path of most users: BuildKit as a `docker-container` builder and
//! the registry as a container. The two images are made from our own binaries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use crate::build::CELLS;
use crate::checkout::{Checkout, Done, FOREIGN, run, stop, wait};
use crate::registry;

/// quickstart with an Engine, and what other clients say about the result.
pub fn quickstart(main: &Checkout) {
    let engine = Engine::start(main);
    let mut checkout = Checkout::new("engine");
    checkout.environment = engine.environment();
    let done = checkout.xtask(&["quickstart"]).ok();
    let status = checkout.status();
    assert_eq!(status["mode"], "containers", "{}", done.all());
    let inspect =
        checkout.tool("docker-buildx", &["inspect", status["builder"].as_str().unwrap()]).ok().stdout;
    assert!(inspect.contains("docker-container"), "{inspect}");
    let registry = checkout.registry();
    for cell in CELLS {
        let published = checkout.publication(cell);
        let reference = format!(
            "{}@{}",
            published["repositories"][0].as_str().unwrap(),
            published["digest"].as_str().unwrap()
        );
        let key = status["public_key"].as_str().unwrap();
        checkout.tool("cosign", &["verify", "--key", key, "--insecure-ignore-tlog=true", &reference]).ok();
    }
    assert!(registry::tags(&registry, "hello-php").contains_key("rolling"));
    // The Engine itself pulls and runs both architectures, one of them by an emulator of the kernel.
    let foreign = format!("linux/{FOREIGN}").parse().unwrap();
    main.toolbox().system(SystemTime::now()).emulator(&foreign).unwrap();
    for (platform, machine) in [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")] {
        let image = format!("{registry}/hello-php:latest");
        let done = engine
            .docker(&[
                "run",
                "--rm",
                "--network",
                "none",
                "--pull",
                "always",
                "--platform",
                platform,
                &image,
                "--versions",
            ])
            .ok();
        assert!(done.stdout.contains(machine), "{}", done.all());
    }
    checkout.xtask(&["local", "down"]).ok();
    assert_eq!(checkout.status()["running"], false);
    let left = engine.docker(&["ps", "--all", "--quiet"]).ok();
    assert_eq!(left.stdout.trim(), "", "`down` leaves no container");
    drop(checkout);
    drop(engine);
}

struct Engine {
    folder: PathBuf,
    path: String,
    dockerd: Child,
    mirror: Child,
}

impl Engine {
    /// Unpacks, configures and starts the Engine, and fills its mirror.
    fn start(main: &Checkout) -> Self {
        let folder = main.root.join("target/engine");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let unpacked = unpack(main);
        let folders =
            [unpacked.join("usr/bin"), unpacked.join("usr/sbin"), runc(main).parent().unwrap().to_owned()];
        let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let path = format!("{}:{}", places.join(":"), std::env::var("PATH").unwrap());
        let (mirror, port) = start_mirror(main, &folder);
        // Sockets have short paths, and this folder may lie deep.
        let sockets = std::env::temp_dir().join(format!("xtask-engine-{}", std::process::id()));
        fs::create_dir_all(&sockets).unwrap();
        let config = serde_json::json!({
            "data-root": folder.join("data"), "exec-root": sockets.join("exec"), "pidfile": sockets.join("pid"),
            "hosts": [format!("unix://{}/docker.sock", sockets.display())],
            "bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false,
            "registry-mirrors": [format!("http://127.0.0.1:{port}")],
        });
        fs::write(folder.join("daemon.json"), config.to_string()).unwrap();
        let log = fs::File::create(folder.join("dockerd.log")).unwrap();
        let dockerd = Command::new(unpacked.join("usr/sbin/dockerd"))
            .arg("--config-file")
            .arg(folder.join("daemon.json"))
            .env("PATH", &path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let engine = Self { folder, path, dockerd, mirror };
        let mut last = String::new();
        let log = engine.folder.join("dockerd.log");
        wait("the Engine answers", || {
            let done = engine.docker(&["version"]);
            let text = fs::read_to_string(&log).unwrap_or_default();
            if done.code != Some(0) && done.stderr != last {
                println!("{}{}", done.stderr, text.lines().rev().take(3).collect::<Vec<_>>().join("\n"));
                last.clone_from(&done.stderr);
            }
            done.code == Some(0)
        });
        engine.fill_mirror(main, port);
        engine
    }

    fn sockets(&self) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-engine-{}", std::process::id()))
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("DOCKER_HOST".to_owned(), format!("unix://{}/docker.sock", self.sockets().display())),
            ("PATH".to_owned(), self.path.clone()),
        ]
    }

    fn docker(&self, args: &[&str]) -> Done {
        run(Command::new("docker").args(args).envs(self.environment()))
    }

    /// BuildKit's and the registry's image, out of binaries.
    fn fill_mirror(&self, main: &Checkout, port: u16) {
        let bin = main.root.join("target/tools/bin");
        let version = |tool: &str| {
            let text = fs::read_to_string(main.root.join(format!("xtask/tools/{tool}/go.mod"))).unwrap();
            let module = if tool == "buildkit" {
                "github.com/moby/buildkit v"
            } else {
                "github.com/distribution/distribution/v3 v"
            };
            text.split(module).nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
        };
        let buildkit = self.folder.join("buildkit");
        let runc = runc(main);
        copy(&bin.join("buildkitd"), &buildkit.join("usr/bin/buildkitd"));
        copy(&bin.join("buildctl"), &buildkit.join("usr/bin/buildctl"));
        copy(&runc, &buildkit.join("usr/bin/buildkit-runc"));
        for library in libraries(&runc) {
            copy(&library, &buildkit.join(library.strip_prefix("/").unwrap()));
        }
        fs::create_dir_all(buildkit.join("tmp")).unwrap();
        // What the stand-ins do not replace is pulled from where it is, if that can be reached.
        let authorities = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if authorities.exists() {
            copy(authorities, &buildkit.join("etc/ssl/certs/ca-certificates.crt"));
        }
        let name = format!("127.0.0.1:{port}/moby/buildkit:v{}", version("buildkit"));
        self.import(
            &buildkit,
            &["ENTRYPOINT [\"buildkitd\"]", "VOLUME /var/lib/buildkit", "ENV PATH=/usr/bin"],
            &name,
        );
        let registry = self.folder.join("registry");
        copy(&bin.join("registry"), &registry.join("usr/bin/registry"));
        let config = "version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: \":5000\"}\n";
        fs::create_dir_all(registry.join("etc/distribution")).unwrap();
        fs::create_dir_all(registry.join("var/lib/registry")).unwrap();
        fs::write(registry.join("etc/distribution/config.yml"), config).unwrap();
        let name =
            format!("127.0.0.1:{port}/library/registry:{}", version("registry").split('.').next().unwrap());
        self.import(
            &registry,
            &["ENTRYPOINT [\"/usr/bin/registry\"]", "CMD [\"serve\", \"/etc/distribution/config.yml\"]"],
            &name,
        );
    }

    fn import(&self, folder: &Path, changes: &[&str], name: &str) {
        let archive = folder.with_extension("tar");
        run(Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(&archive).arg(".")).ok();
        let mut args = vec!["import".to_owned()];
        args.extend(changes.iter().flat_map(|change| ["--change".to_owned(), (*change).to_owned()]));
        args.extend([archive.display().to_string(), name.to_owned()]);
        self.docker(&args.iter().map(String::as_str).collect::<Vec<_>>()).ok();
        self.docker(&["push", "--quiet", name]).ok();
        self.docker(&["rmi", name]).ok();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        stop(&mut self.dockerd);
        stop(&mut self.mirror);
        let _ = Command::new("umount").arg(self.sockets().join("exec/netns/default")).status();
        let _ = fs::remove_dir_all(self.sockets());
    }
}

/// The runc that the stack of processes uses: one that runs on this system, unlike that of the Engine's suite.
fn runc(main: &Checkout) -> PathBuf {
    main.xtask(&["local", "up"]).ok();
    let unpacked = main.root.join("target/tools/system/runc/usr/sbin/runc");
    let places = std::env::var("PATH").unwrap();
    let on_path =
        places.split(':').chain(["/usr/sbin", "/sbin"]).map(|folder| Path::new(folder).join("runc"));
    on_path.chain([unpacked]).find(|path| path.exists()).expect("`local up` has found a runc")
}

/// The Engine's packages, from the sources of this machine, downloaded with an apt state of our own and unpacked; kept
/// for the next run.
fn unpack(main: &Checkout) -> PathBuf {
    let shared = fs::canonicalize(main.root.join("target/tools")).unwrap().join("engine");
    let root = shared.join("root");
    if root.join("usr/sbin/dockerd").exists() {
        return root;
    }
    fs::create_dir_all(shared.join("lists/partial")).unwrap();
    fs::create_dir_all(shared.join("archives/partial")).unwrap();
    let mut config = format!(
        "Dir::State \"{0}\";\nDir::State::Lists \"{0}/lists\";\nDir::Cache \"{0}\";\nAPT::Sandbox::User \"root\";\n",
        shared.display()
    );
    let mut packages = vec!["docker.io", "containerd", "tini"];
    let release = fs::read_to_string("/etc/os-release").unwrap();
    let is = |line: &str| release.lines().any(|other| other == line);
    // Debian has the client in a package of its own, and had an Engine that is too old before its release 13.
    if is("ID=debian") {
        packages.push("docker-cli");
    }
    if is("VERSION_CODENAME=bookworm") {
        let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let sources = format!("deb [signed-by={keys}] {} trixie main\n", mirror());
        fs::write(shared.join("sources.list"), sources).unwrap();
        config += &format!(
            "Dir::Etc::sourcelist \"{}/sources.list\";\nDir::Etc::sourceparts \"-\";\n",
            shared.display()
        );
    }
    fs::write(shared.join("apt.conf"), config).unwrap();
    let apt = |args: &[&str]| {
        run(Command::new("apt-get")
            .args(args)
            .env("APT_CONFIG", shared.join("apt.conf"))
            .current_dir(&shared))
        .ok()
    };
    apt(&["update"]);
    apt(&[&["download"][..], &packages].concat());
    let unfinished = shared.join("unfinished");
    for entry in fs::read_dir(&shared).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&path).arg(&unfinished)).ok();
        }
    }
    fs::rename(&unfinished, &root).unwrap();
    root
}

/// The Debian mirror of this machine.
fn mirror() -> String {
    let folder = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let texts = folder
        .chain([PathBuf::from("/etc/apt/sources.list")])
        .filter_map(|path| fs::read_to_string(path).ok());
    let words: Vec<String> =
        texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let found =
        words.iter().find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"));
    found.expect("a Debian package source").clone()
}

/// A registry of our own, on a free port.
fn start_mirror(main: &Checkout, folder: &Path) -> (Child, u16) {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let data = folder.join("mirror");
    fs::create_dir_all(&data).unwrap();
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
        data.display()
    );
    fs::write(folder.join("mirror.yml"), config).unwrap();
    let log = fs::File::create(folder.join("mirror.log")).unwrap();
    let child = Command::new(main.root.join("target/tools/bin/registry"))
        .arg("serve")
        .arg(folder.join("mirror.yml"))
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    wait("the mirror answers", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (child, port)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// The shared libraries of a program, the loader among them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let text = run(Command::new("ldd").arg(program)).ok().stdout;
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
