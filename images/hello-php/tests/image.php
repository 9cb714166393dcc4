<?php

/**
 * Proves what is in the image: run by the Dockerfile's stage `test`, inside the image, as the image's own user.
 *
 *     php tests/image.php CHECKOUT
 *
 * CHECKOUT is this folder as the build was given it. The build arguments are in the environment: ROLLING_DEPS,
 * HELLO_VERSION, TARGETARCH. Every failure is listed; the exit code is 1 if there is any.
 *
 * The versions that the image claims are compared with the lock and with the ranges of the checkout, and then the very
 * files are compared with the package of that version: a claim alone could be wrong in the same way as the image.
 */

declare(strict_types=1);

const APP = '/app';

/** @var list<string> $failures */
$failures = [];
$expect = static function (bool $holds, string $otherwise) use (&$failures): void {
    if (!$holds) {
        $failures[] = $otherwise;
    }
};

$checkout = $argv[1] ?? throw new InvalidArgumentException('usage: image.php CHECKOUT');
$mode = ['false' => 'pinned', 'true' => 'rolling'][(string) getenv('ROLLING_DEPS')]
    ?? throw new UnexpectedValueException('ROLLING_DEPS is neither true nor false');

// What the checkout says.
$locked = array_column(json($checkout . '/composer.lock')['packages'], 'version', 'name');
$ranges = array_filter(
    json($checkout . '/composer.json')['require'],
    static fn (string $name): bool => str_contains($name, '/'),
    ARRAY_FILTER_USE_KEY,
);
$offered = []; // name => version => folder
foreach (glob($checkout . '/packages/*/composer.json') as $manifest) {
    $package = json($manifest);
    $offered[$package['name']][$package['version']] = dirname($manifest);
}

// What the image says, in the way that its user would ask.
[$exit, $output] = run('php', APP . '/bin/hello.php', '--versions');
$expect($exit === 0, "hello --versions ended with $exit");
$claimed = json_decode($output, true) ?? [];
$installed = $claimed['packages'] ?? [];

$expect(($claimed['mode'] ?? null) === $mode, "the image calls itself '" . ($claimed['mode'] ?? '') . "', built was '$mode'");
$expect(
    ($claimed['version'] ?? null) === getenv('HELLO_VERSION'),
    "the image calls itself version '" . ($claimed['version'] ?? '') . "', built was '" . getenv('HELLO_VERSION') . "'",
);
$machine = ['amd64' => 'x86_64', 'arm64' => 'aarch64', 'arm' => 'armv7l', '386' => 'i686'];
$architecture = $machine[(string) getenv('TARGETARCH')] ?? getenv('TARGETARCH');
$expect(
    ($claimed['architecture'] ?? null) === $architecture,
    "the image runs on '" . ($claimed['architecture'] ?? '') . "', built was '$architecture'",
);

// The right packages, in the right versions.
$expect($installed !== [], 'no package is installed');
$expect(
    array_keys($installed) === array_keys($locked),
    'installed are ' . implode(', ', array_keys($installed)) . ', locked are ' . implode(', ', array_keys($locked)),
);
foreach ($installed as $name => $version) {
    $lock = $locked[$name] ?? 'nothing';
    if ($mode === 'pinned') {
        $expect($version === $lock, "$name $version is installed, but the lock says $lock");
    } else {
        $allowed = array_filter(
            array_keys($offered[$name] ?? []),
            static fn (string $candidate): bool => satisfies($candidate, $ranges[$name] ?? '*'),
        );
        usort($allowed, version_compare(...));
        $newest = end($allowed) ?: 'nothing';
        $expect(version_compare($version, $lock, '>'), "$name $version is installed, no newer than the lock's $lock");
        $expect($version === $newest, "$name $version is installed, but $newest is the newest in the declared range");
    }
    $range = $ranges[$name] ?? '*';
    $expect(satisfies($version, $range), "$name $version is installed, outside the declared range $range");

    // The claim is true: these are that version's files, and there are no others.
    $source = $offered[$name][$version] ?? null;
    $expect($source !== null, "$name $version is installed, but no package of that version exists");
    if ($source !== null) {
        $expect(files(APP . "/vendor/$name") === files($source), "vendor/$name does not hold the files of version $version");
    }
}

// It works, and with the packages that were looked at.
[$exit, $output] = run('php', APP . '/bin/hello.php', '--language=de', 'Welt');
$expect([$exit, $output] === [0, "Hallo, Welt!\n"], "hello --language=de Welt ended with $exit and printed: $output");
$expect(files(APP . '/src') === files($checkout . '/src'), 'src does not hold the files of this checkout');
$expect(files(APP . '/bin') === files($checkout . '/bin'), 'bin does not hold the files of this checkout');

// It cannot harm itself, and stands on php-base.
$expect(posix_geteuid() !== 0, 'the image runs as root');
foreach (['', '/vendor', '/src', '/bin', '/build.json'] as $path) {
    $expect(!is_writable(APP . $path), "the image's user can write to " . APP . $path);
}
$expect(is_file('/etc/php-base-release'), 'the image does not stand on php-base');
$expect(ini_get('zend.exception_ignore_args') === '1', 'the settings of php-base are not in force');

foreach ($failures as $failure) {
    fwrite(STDERR, "FAIL $failure\n");
}
if ($failures !== []) {
    exit(1);
}
echo "ok: hello {$claimed['version']}, $mode, on {$claimed['architecture']}: ";
echo implode(', ', array_map(static fn (string $name): string => "$name $installed[$name]", array_keys($installed))), "\n";

/** @return array<mixed> */
function json(string $file): array
{
    return json_decode((string) file_get_contents($file), true, flags: JSON_THROW_ON_ERROR);
}

/** @return array{int, string} the exit code and what was printed to stdout */
function run(string ...$command): array
{
    $process = proc_open($command, [1 => ['pipe', 'w']], $pipes) ?: throw new RuntimeException("cannot run $command[0]");
    $output = (string) stream_get_contents($pipes[1]);

    return [proc_close($process), $output];
}

/**
 * Is the version within the range? Only what composer.json uses is understood, `*` and a caret before a number above
 * zero: Composer's own library is not asked, as it is Composer's answer that is being checked.
 */
function satisfies(string $version, string $range): bool
{
    if ($range === '*') {
        return true;
    }
    if (preg_match('/^\^([1-9]\d*)(\.\d+){0,2}$/', $range, $match) !== 1) {
        throw new UnexpectedValueException("this test does not understand the range '$range'");
    }

    // 1.2-dev sorts below every 1.2: PHP takes "2.0.0-dev" for older than any release of 2.
    return version_compare($version, substr($range, 1), '>=') && version_compare($version, ($match[1] + 1) . '-dev', '<');
}

/** @return array<string, string> the hash of every file below the folder, by its path, sorted */
function files(string $folder): array
{
    if (!is_dir($folder)) {
        return [];
    }
    $hashes = [];
    $found = new RecursiveIteratorIterator(new RecursiveDirectoryIterator($folder, FilesystemIterator::SKIP_DOTS));
    foreach ($found as $file) {
        $hashes[substr($file->getPathname(), strlen($folder) + 1)] = hash_file('sha256', $file->getPathname());
    }
    ksort($hashes);

    return $hashes;
}
