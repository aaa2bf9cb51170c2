//! The Mandelbrot set, row by row.

/// Row `y` of a picture of the Mandelbrot set that is `width` × `height` pixels: for each pixel, from left to
/// right, how many iterations of `z ← z² + c` it takes until `|z| > 2`, and `max_iterations` where that many
/// were not enough. The result has `width` entries. Row 0 is at the top; rows from `height` on lie below the
/// picture, and are computed all the same.
///
/// The picture shows the usual window, real part −2.5 … 1, imaginary part −1.25 … 1.25. A pixel stands for
/// its centre, so row `y` and row `height − 1 − y` are mirror images.
///
/// The escape-time algorithm (Peitgen and Richter, "The Beauty of Fractals", 1986), with nothing cut short:
/// cost is the sum of the entries, some nanoseconds each.
///
/// In a lesson: uneven load that nobody knows beforehand. Rows through the set cost `max_iterations` for most
/// pixels, rows at the edges next to nothing. Handing out equal blocks of rows leaves engines idle; handing
/// out single rows as engines become free does not.
///
/// ```
/// use regatta_kernels::mandelbrot_row;
///
/// let picture: Vec<Vec<u32>> = (0..20).map(|y| mandelbrot_row(y, 60, 20, 100)).collect();
/// assert_eq!(picture[3], picture[16]);
/// assert_eq!(picture[10][42], 100); // close to the origin, which is in the set
/// assert!(picture[0].iter().all(|&iterations| iterations < 10));
/// ```
#[must_use]
pub fn mandelbrot_row(y: u32, width: u32, height: u32, max_iterations: u32) -> Vec<u32> {
    let pixel_height = 2.5 / f64::from(height);
    // Measured from the middle row, so that mirror images are equal to the last bit.
    let im = (f64::from(height) / 2.0 - f64::from(y) - 0.5) * pixel_height;
    let pixel_width = 3.5 / f64::from(width);
    (0..width)
        .map(|x| {
            iterations(
                -2.5 + (f64::from(x) + 0.5) * pixel_width,
                im,
                max_iterations,
            )
        })
        .collect()
}

/// Iterations until the point escapes, at most `max`.
fn iterations(re: f64, im: f64, max: u32) -> u32 {
    let (mut x, mut y) = (0.0, 0.0);
    for done in 0..max {
        let (x2, y2) = (x * x, y * y);
        if x2 + y2 > 4.0 {
            return done;
        }
        y = 2.0 * x * y + im;
        x = x2 - y2 + re;
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_the_set_never_escape_and_points_outside_do() {
        // 0, the cusp of the cardioid, the period-2 disc, the tip −2, and a Misiurewicz point.
        for (re, im) in [
            (0.0, 0.0),
            (0.25, 0.0),
            (-1.0, 0.2),
            (-2.0, 0.0),
            (0.0, 1.0),
        ] {
            assert_eq!(iterations(re, im, 500), 500, "{re} + {im}i");
        }
        assert_eq!(iterations(1.0, 0.0, 500), 3, "0, 1, 2, 5");
        assert_eq!(iterations(3.0, 0.0, 500), 1);
        assert_eq!(iterations(-2.1, 0.0, 500), 1);
        // Just right of the cusp a point takes about π / √ε iterations (Boll's observation).
        assert!((310..=320).contains(&iterations(0.2501, 0.0, 500)));
    }

    #[test]
    fn rows_mirror_each_other() {
        for height in [1, 2, 7, 30, 101] {
            for y in 0..height {
                let mirrored = mandelbrot_row(height - 1 - y, 40, height, 200);
                assert_eq!(
                    mandelbrot_row(y, 40, height, 200),
                    mirrored,
                    "row {y} of {height}"
                );
            }
        }
    }

    #[test]
    fn a_row_has_a_pixel_per_column_within_the_limit() {
        let row = mandelbrot_row(5, 35, 11, 50);
        assert_eq!(row.len(), 35);
        assert!(row.iter().all(|&iterations| iterations <= 50));
        assert_eq!(row[25], 50, "the middle row's pixel next to the origin");
        assert!(mandelbrot_row(0, 0, 10, 50).is_empty());
        assert_eq!(mandelbrot_row(0, 3, 1, 0), [0, 0, 0]);
        assert_eq!(
            mandelbrot_row(0, 2, 0, 10).len(),
            2,
            "a picture without rows has no row, but no panic"
        );
    }

    #[test]
    fn the_area_of_the_set_comes_out() {
        // 1.506 59 (Förstemann 2012); a coarse grid and few iterations give slightly more.
        let (width, height) = (700, 500);
        let inside = (0..height)
            .flat_map(|y| mandelbrot_row(y, width, height, 200))
            .filter(|&iterations| iterations == 200)
            .count();
        let area =
            f64::from(u32::try_from(inside).unwrap()) * 3.5 * 2.5 / f64::from(width * height);
        assert!((1.50..1.56).contains(&area), "{area}");
    }
}
